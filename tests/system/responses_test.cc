#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <csignal>
#include <thread>

#include "http_probe.h"
#include "server_process.h"
#include "text_requests.h"

// /v1/responses, the counts of tokens, and /v1/fim/completions through the real server and the real
// llama-server.
namespace hearth::system_test {
namespace {

namespace json = boost::json;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr std::string_view kOnePixel =
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+"
    "M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";

class Responses : public TextServer {};

json::object call_of(std::string_view model, const json::value& input) {
    return {{"model", model}, {"input", input}, {"temperature", 0}, {"max_output_tokens", 8}};
}

json::object weather_tool() {
    return {{"type", "function"},
            {"name", "weather"},
            {"description", "of a city"},
            {"parameters",
             {{"type", "object"},
              {"properties", {{"city", {{"type", "string"}, {"enum", {"Rome"}}}}}},
              {"required", {"city"}}}}};
}

// The events of a stream, of which each is named as its type and the numbers count from 0.
std::vector<json::object> events_of(const Reply& reply) {
    EXPECT_EQ(reply.status, 200) << reply.body;
    EXPECT_TRUE(reply.field("content-type").starts_with("text/event-stream"));
    EXPECT_FALSE(reply.body.contains("[DONE]"));
    std::vector<json::object> out;
    std::string_view rest = reply.body;
    while (!rest.empty()) {
        const std::size_t end = rest.find("\n\n");
        if (end == std::string_view::npos) break;
        const std::string_view event = rest.substr(0, end);
        rest.remove_prefix(end + 2);
        if (event.starts_with(':')) continue;
        const std::size_t data = event.find("\ndata: ");
        if (data == std::string_view::npos) {
            ADD_FAILURE() << event;
            continue;
        }
        out.push_back(json::parse(event.substr(data + 7)).as_object());
        EXPECT_EQ(out.back().at("type").as_string(), event.substr(7, data - 7));
        EXPECT_EQ(out.back().at("sequence_number").to_number<std::size_t>(), out.size() - 1);
    }
    return out;
}

std::string_view type_of(const json::object& event) { return event.at("type").as_string(); }

// What the deltas of a type say together.
std::string joined(const std::vector<json::object>& events, std::string_view type) {
    std::string out;
    for (const json::object& event : events) {
        if (type_of(event) == type) out += event.at("delta").as_string();
    }
    return out;
}

std::vector<json::object> streamed(const Reply& reply) {
    auto events = events_of(reply);
    EXPECT_GE(events.size(), 3U) << reply.body;
    if (events.size() >= 3) {
        EXPECT_EQ(type_of(events[0]), "response.created");
        EXPECT_EQ(type_of(events[1]), "response.in_progress");
        EXPECT_EQ(events.front().at("response").at("id"), events.back().at("response").at("id"));
    }
    return events;
}

std::string text_in(const json::value& response) {
    std::string out;
    for (const json::value& item : response.at("output").as_array()) {
        if (item.at("type") != "message") continue;
        for (const json::value& part : item.at("content").as_array()) {
            out += part.at("text").as_string();
        }
    }
    return out;
}

TEST_F(Responses, SaysWhatAChatSaysWholeAndAsAStream) {
    const Reply chatted = ask("/v1/chat/completions", chat("tiny-text", "hello"));
    const std::string text(
        chatted.json().at("choices").at(0).at("message").at("content").as_string());
    const Reply whole = ask("/v1/responses", call_of("tiny-text", "hello"));
    ASSERT_EQ(whole.status, 200) << whole.body;
    EXPECT_EQ(whole.field("x-hearth-backend"), "llama/tiny-text:q8_0");
    const json::value answer = whole.json();
    EXPECT_EQ(text_in(answer), text);
    EXPECT_TRUE(answer.at("id").as_string().starts_with("resp_"));
    EXPECT_EQ(answer.at("model"), "tiny-text");
    EXPECT_EQ(answer.at("usage").at("output_tokens").to_number<int>(), 8);
    // Eight tokens were all it was allowed.
    EXPECT_EQ(answer.at("status"), "incomplete");
    EXPECT_EQ(answer.at("incomplete_details").at("reason"), "max_output_tokens");

    json::object body = call_of("tiny-text", "hello");
    body["stream"] = true;
    const auto events = streamed(ask("/responses", body));
    EXPECT_EQ(joined(events, "response.output_text.delta"), text);
    EXPECT_EQ(type_of(events.back()), "response.incomplete");
    EXPECT_EQ(text_in(events.back().at("response")), text);
    const json::value& id = events[2].at("item").at("id");
    EXPECT_TRUE(id.as_string().starts_with("msg_"));
    for (const json::object& event : events) {
        if (const json::value* item = event.if_contains("item_id")) EXPECT_EQ(*item, id);
    }
}

TEST_F(Responses, CallsAToolAndTakesItsResult) {
    json::object body = call_of("tiny-text", "what is the weather?");
    body["max_output_tokens"] = 64;
    body["tools"] = json::array{weather_tool()};
    body["tool_choice"] = "required";
    const Reply reply = ask("/v1/responses", body);
    ASSERT_EQ(reply.status, 200) << reply.body;
    const json::value answer = reply.json();
    EXPECT_EQ(answer.at("status"), "completed");
    const json::value& call = answer.at("output").at(0);
    ASSERT_EQ(call.at("type"), "function_call");
    EXPECT_EQ(call.at("name"), "weather");
    EXPECT_TRUE(json::parse(call.at("arguments").as_string()).is_object());

    body["stream"] = true;
    const auto events = streamed(ask("/v1/responses", body));
    EXPECT_EQ(type_of(events.back()), "response.completed");
    EXPECT_EQ(joined(events, "response.function_call_arguments.delta"),
              call.at("arguments").as_string());

    json::object next = call_of("tiny-text", json::array());
    next["tools"] = body["tools"];
    next["input"] = {
        {{"role", "user"}, {"content", "what is the weather?"}},
        call,
        {{"type", "function_call_output"}, {"call_id", call.at("call_id")}, {"output", "sunny"}}};
    const Reply told = ask("/v1/responses", next);
    ASSERT_EQ(told.status, 200) << told.body;
    EXPECT_FALSE(text_in(told.json()).empty()) << told.body;
}

TEST_F(Responses, ReasonsInAnItemOfItsOwn) {
    json::object body = call_of("tiny-thinking", "think");
    body["max_output_tokens"] = 64;
    const json::value answer = ask("/v1/responses", body).json();
    ASSERT_EQ(answer.at("output").as_array().size(), 2U) << answer;
    EXPECT_EQ(answer.at("output").at(0).at("type"), "reasoning");
    EXPECT_EQ(answer.at("output").at(0).at("content").at(0).at("text"), "Let me think.");
    EXPECT_EQ(text_in(answer), "Done!");
    EXPECT_EQ(answer.at("status"), "completed");
    body["stream"] = true;
    const auto events = streamed(ask("/v1/responses", body));
    EXPECT_EQ(joined(events, "response.reasoning_text.delta"), "Let me think.");
    EXPECT_EQ(joined(events, "response.output_text.delta"), "Done!");
    // What it said goes back as it came.
    json::array input = answer.at("output").as_array();
    input.push_back({{"role", "user"}, {"content", "again"}});
    body["input"] = std::move(input);
    body["stream"] = false;
    EXPECT_EQ(ask("/v1/responses", body).status, 200);
    for (const char* effort : {"none", "minimal", "low", "medium", "high", "xhigh", "max"}) {
        body["reasoning"] = {{"effort", effort}, {"summary", "auto"}};
        const Reply reply = ask("/v1/responses", body);
        EXPECT_EQ(reply.status, 200) << effort << ": " << reply.body;
    }
}

TEST_F(Responses, ObeysASchemaAndSeesAnImage) {
    json::object body = call_of("tiny-text", "answer");
    body["max_output_tokens"] = 64;
    const json::object schema{{"type", "object"},
                              {"properties", {{"answer", {{"enum", {"yes", "no"}}}}}},
                              {"required", {"answer"}},
                              {"additionalProperties", false}};
    body["text"] = {{"format", {{"type", "json_schema"}, {"name", "a"}, {"schema", schema}}}};
    const Reply reply = ask("/v1/responses", body);
    ASSERT_EQ(reply.status, 200) << reply.body;
    EXPECT_TRUE(json::parse(text_in(reply.json())).at("answer").is_string()) << reply.body;

    json::object seen = call_of("tiny-vision", json::array());
    seen["input"] =
        json::array{json::object{{"role", "user"},
                                 {"content",
                                  {{{"type", "input_text"}, {"text", "what is it?"}},
                                   {{"type", "input_image"}, {"image_url", kOnePixel}}}}}};
    EXPECT_EQ(ask("/v1/responses", seen).status, 200);
    seen["input"].as_array()[0].as_object()["content"] = json::array{
        json::object{{"type", "input_image"}, {"image_url", "http://127.0.0.1:1/a.png"}}};
    const Reply fetched = ask("/v1/responses", seen);
    EXPECT_EQ(fetched.status, 400);
    EXPECT_EQ(fetched.json().at("error").at("param"), "input[0].content[0]");
}

// A beginning that could be that of a call is not given before it is clear what it is.
TEST_F(Responses, WhatIsCutOffIsTheSameWholeAndAsAStream) {
    json::object structured = call_of("tiny-text", "answer");
    structured["text"] = {{"format",
                           {{"type", "json_schema"},
                            {"name", "a"},
                            {"schema", {{"type", "array"}, {"items", {{"type", "string"}}}}}}}};
    json::object calling = call_of("tiny-text", "what is the weather?");
    calling["tools"] = json::array{weather_tool()};
    calling["tool_choice"] = "required";
    for (json::object& body : {std::ref(structured), std::ref(calling)}) {
        std::string before;
        for (const int limit : {1, 2, 4, 6, 8, 10, 12, 14}) {
            body["max_output_tokens"] = limit;
            body["stream"] = false;
            const json::value whole = ask("/v1/responses", body).json();
            body["stream"] = true;
            const auto events = streamed(ask("/v1/responses", body));
            const json::value& last = events.back().at("response");
            EXPECT_EQ(whole.at("status"), last.at("status"));
            const auto said = [](const json::value& response) {
                const json::value& item = response.at("output").at(0);
                return item.at("type") == "message" ? text_in(response)
                                                    : std::string(item.at("arguments").as_string());
            };
            EXPECT_EQ(said(whole), said(last)) << limit;
            // Greedy: a longer answer begins with a shorter one.
            EXPECT_TRUE(said(whole).starts_with(before)) << before << " / " << said(whole);
            before = said(whole);
        }
        EXPECT_FALSE(before.empty());
    }
}

TEST_F(Responses, RefusesInTheWordsOfTheDialect) {
    const auto refused = [](const json::object& body, int status) {
        const Reply reply = ask("/v1/responses", body);
        EXPECT_EQ(reply.status, status) << reply.body;
        return reply.json().at("error");
    };
    EXPECT_EQ(refused({{"model", "tiny-text"}}, 400).at("param"), "input");
    EXPECT_EQ(refused(call_of("nobody", "x"), 404).at("code"), "model_not_found");
    json::object body = call_of("tiny-text", "x");
    body["previous_response_id"] = "resp_1";
    EXPECT_EQ(refused(body, 501).at("code"), "stateless");
    body = call_of("tiny-text", "x");
    body["tools"] = json::array{json::object{{"type", "web_search"}}};
    EXPECT_EQ(refused(body, 501).at("type"), "not_supported_error");
    // Before the first byte a stream has a status as well.
    body = call_of("tiny-embedder", "x");
    body["stream"] = true;
    EXPECT_EQ(refused(body, 400).at("param"), "model");
}

TEST_F(Responses, LeavesOutTheOldestWhereThatIsAllowed) {
    std::string longer;
    for (int i = 0; i < 1000; ++i) longer += "word ";
    json::array input;
    for (int i = 0; i < 10; ++i) {
        input.push_back({{"role", i % 2 == 0 ? "user" : "assistant"}, {"content", longer}});
    }
    input.push_back({{"role", "user"}, {"content", "hello"}});
    json::object body = call_of("tiny-text", input);
    const Reply refused = ask("/v1/responses", body);
    EXPECT_EQ(refused.status, 400);
    EXPECT_EQ(refused.json().at("error").at("code"), "context_length_exceeded");
    body["truncation"] = "auto";
    const Reply shortened = ask("/v1/responses", body);
    ASSERT_EQ(shortened.status, 200) << shortened.body;
    EXPECT_LT(shortened.json().at("usage").at("input_tokens").to_number<int>(), 4096);
}

TEST_F(Responses, CountsWhatTheEngineCounts) {
    const auto counted = [](std::string_view path, const json::value& body) {
        const Reply reply = ask(path, body);
        EXPECT_EQ(reply.status, 200) << reply.body;
        EXPECT_EQ(reply.json().at("object"), "response.input_tokens");
        return reply.json().at("input_tokens").to_number<int>();
    };
    const json::value answer = ask("/v1/responses", call_of("tiny-text", "hello there")).json();
    const int tokens = answer.at("usage").at("input_tokens").to_number<int>();
    EXPECT_EQ(counted("/v1/responses/input_tokens", call_of("tiny-text", "hello there")), tokens);
    EXPECT_EQ(counted("/responses/input_tokens", call_of("tiny-text", "hello there")), tokens);
    EXPECT_EQ(counted("/v1/chat/completions/input_tokens", chat("tiny-text", "hello there")),
              tokens);
    EXPECT_EQ(counted("/chat/completions/input_tokens", chat("tiny-text", "hello there")), tokens);
    json::object with_tools = call_of("tiny-text", "hello there");
    with_tools["tools"] = json::array{weather_tool()};
    EXPECT_GT(counted("/v1/responses/input_tokens", with_tools), tokens);
    json::object seen = call_of("tiny-vision", json::array());
    seen["input"] = json::array{json::object{
        {"role", "user"}, {"content", {{{"type", "input_image"}, {"image_url", kOnePixel}}}}}};
    EXPECT_EQ(counted("/v1/responses/input_tokens", seen),
              ask("/v1/responses", seen).json().at("usage").at("input_tokens").to_number<int>());
    EXPECT_EQ(ask("/v1/responses/input_tokens", {{"model", "tiny-text"}}).status, 400);
    EXPECT_EQ(ask("/v1/chat/completions/input_tokens", chat("nobody", "x")).status, 404);
}

TEST_F(Responses, FillsInTheMiddleWholeAndAsAStream) {
    json::object body{{"model", "tiny-fim"}, {"prompt", "int f("}, {"suffix", "}"},
                      {"max_tokens", 4},     {"temperature", 0},   {"random_seed", 7}};
    const Reply native = ask("/infill", {{"model", "tiny-fim"},
                                         {"input_prefix", "int f("},
                                         {"input_suffix", "}"},
                                         {"n_predict", 4},
                                         {"temperature", 0}});
    const Reply whole = ask("/v1/fim/completions", body);
    ASSERT_EQ(whole.status, 200) << whole.body;
    const json::value answer = whole.json();
    EXPECT_EQ(answer.at("object"), "chat.completion");
    const json::value& choice = answer.at("choices").at(0);
    EXPECT_EQ(choice.at("message").at("content"), native.json().at("content"));
    EXPECT_EQ(choice.at("finish_reason"), "length");
    EXPECT_EQ(answer.at("usage").at("completion_tokens").to_number<int>(), 4);

    body["stream"] = true;
    const Reply stream = ask("/v1/fim/completions", body);
    ASSERT_EQ(stream.status, 200) << stream.body;
    std::string text;
    std::string_view rest = stream.body;
    json::object last;
    while (rest.starts_with("data: {")) {
        const std::size_t end = rest.find("\n\n");
        last = json::parse(rest.substr(6, end - 6)).as_object();
        text += last.at("choices").at(0).at("delta").at("content").as_string();
        rest.remove_prefix(end + 2);
    }
    EXPECT_EQ(rest, "data: [DONE]\n\n");
    EXPECT_EQ(text, choice.at("message").at("content").as_string());
    EXPECT_EQ(last.at("usage"), answer.at("usage"));
    body["model"] = "tiny-text";
    const Reply refused = ask("/v1/fim/completions", body);
    EXPECT_EQ(refused.status, 501) << refused.body;
    EXPECT_EQ(refused.json().at("error").at("type"), "not_supported_error");
    body.erase("prompt");
    EXPECT_EQ(ask("/v1/fim/completions", body).json().at("error").at("param"), "prompt");
}

TEST_F(Responses, ACallerWhoLeavesFreesItsSlot) {
    json::object body = call_of("tiny-text", "hello");
    body["max_output_tokens"] = 4000;
    body["ignore_eos"] = true;
    expect_leaving_frees_the_slot(address(), "/v1/responses", body, call_of("tiny-text", "next"));
}

TEST(ResponsesFaults, AnEngineThatDiesEndsTheStreamWithAnErrorAndAFailedResponse) {
    const ServerProcess server(text_options());
    const auto ask = [&](const json::object& body) {
        return post(server.address(), "/v1/responses", json::serialize(body));
    };
    ASSERT_EQ(ask(call_of("tiny-text", "warm")).status, 200);
    json::object body = call_of("tiny-text", "hello");
    body["max_output_tokens"] = 3000;
    body["ignore_eos"] = true;
    body["stream"] = true;
    Reply broken;
    std::jthread caller([&] { broken = ask(body); });
    std::this_thread::sleep_for(milliseconds(500));
    for (const pid_t pid : server.worker_pids()) ::kill(pid, SIGKILL);
    caller.join();
    const auto events = streamed(broken);
    ASSERT_GE(events.size(), 4U);
    EXPECT_EQ(type_of(events[events.size() - 2]), "error");
    EXPECT_EQ(events[events.size() - 2].at("code"), "worker_died");
    EXPECT_EQ(type_of(events.back()), "response.failed");
    EXPECT_EQ(events.back().at("response").at("error").at("code"), "server_error");
    EXPECT_EQ(text_in(events.back().at("response")), joined(events, "response.output_text.delta"));
    EXPECT_EQ(ask(call_of("tiny-text", "again")).status, 200);
}

}  // namespace
}  // namespace hearth::system_test
