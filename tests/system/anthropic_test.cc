#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <csignal>
#include <thread>

#include "http_probe.h"
#include "server_process.h"
#include "text_requests.h"

// The Anthropic dialect through the real server and the real llama-server.
namespace hearth::system_test {
namespace {

namespace json = boost::json;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr std::string_view kRedPixel =
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJg"
    "gg==";

class Anthropic : public TextServer {
  protected:
    static Reply ask(const json::value& body) { return TextServer::ask("/v1/messages", body); }
};

json::object said(std::string_view role, const json::value& content) {
    return {{"role", role}, {"content", content}};
}

json::object weather_tool() {
    return {{"name", "weather"},
            {"description", "of a city"},
            {"input_schema",
             {{"type", "object"},
              {"properties", {{"city", {{"type", "string"}, {"enum", {"Rome"}}}}}},
              {"required", {"city"}}}}};
}

// The events of a stream, in which each stands under its own name.
std::vector<json::object> messages_events(std::string_view body) {
    std::vector<json::object> out;
    while (!body.empty()) {
        const std::size_t end = std::min(body.find("\n\n"), body.size() - 2);
        const std::string_view event = body.substr(0, end);
        const std::size_t line = event.find('\n');
        out.push_back(json::parse(event.substr(line + 7)).as_object());
        EXPECT_EQ("event: " + std::string(out.back().at("type").as_string()),
                  event.substr(0, line));
        body.remove_prefix(end + 2);
    }
    return out;
}

// What a client makes of a stream: the message, its blocks put together.
json::object assembled(const std::vector<json::object>& events) {
    json::object message;
    std::vector<std::string> inputs;
    for (const json::object& event : events) {
        const std::string type(event.at("type").as_string());
        if (type == "message_start") message = event.at("message").as_object();
        if (type == "content_block_start") {
            EXPECT_EQ(event.at("index").to_number<std::size_t>(), inputs.size());
            message["content"].as_array().push_back(event.at("content_block"));
            inputs.emplace_back();
        }
        if (type == "content_block_delta") {
            json::object& block =
                message["content"].at(event.at("index").to_number<std::size_t>()).as_object();
            const json::object& delta = event.at("delta").as_object();
            for (const char* text : {"text", "thinking", "signature"}) {
                if (!delta.contains(text)) continue;
                block[text] =
                    std::string(block[text].as_string()) + std::string(delta.at(text).as_string());
            }
            if (delta.contains("partial_json")) {
                inputs.back() += delta.at("partial_json").as_string();
                block["input"] = inputs.back();
            }
        }
        if (type == "message_delta") {
            for (const auto& [key, value] : event.at("delta").as_object()) message[key] = value;
            message["usage"] = event.at("usage");
        }
    }
    for (json::value& block : message["content"].as_array()) {
        if (block.at("type") != "tool_use") continue;
        block.as_object()["input"] = json::parse(block.at("input").as_string());
    }
    return message;
}

void expect_same_message(const json::value& whole, const json::object& streamed) {
    for (const char* key : {"type", "role", "model", "stop_reason", "stop_sequence"}) {
        EXPECT_EQ(whole.at(key), streamed.at(key)) << key;
    }
    ASSERT_EQ(whole.at("content").as_array().size(), streamed.at("content").as_array().size());
    for (std::size_t i = 0; i < whole.at("content").as_array().size(); ++i) {
        json::object one = whole.at("content").at(i).as_object();
        json::object other = streamed.at("content").at(i).as_object();
        one.erase("id");  // the engine draws it anew
        other.erase("id");
        EXPECT_EQ(json::value(one), json::value(other));
    }
}

json::value ask_both_ways(const std::string& address, json::object body) {
    const Reply whole = post(address, "/v1/messages", json::serialize(body));
    EXPECT_EQ(whole.status, 200) << whole.body;
    body["stream"] = true;
    const Reply streamed = post(address, "/v1/messages", json::serialize(body));
    EXPECT_EQ(streamed.status, 200) << streamed.body;
    EXPECT_TRUE(streamed.field("content-type").starts_with("text/event-stream"));
    const auto events = messages_events(streamed.body);
    EXPECT_EQ(events.front().at("type"), json::value("message_start"));
    EXPECT_EQ(events.back().at("type"), json::value("message_stop"));
    expect_same_message(whole.json(), assembled(events));
    return whole.json();
}

TEST_F(Anthropic, AMessageIsTheSameWholeAndAsAStream) {
    const json::value answer = ask_both_ways(address(), chat("tiny-text", "hello"));
    EXPECT_EQ(answer.at("stop_reason"), json::value("max_tokens"));
    EXPECT_EQ(answer.at("usage").at("output_tokens"), json::value(8));
    EXPECT_TRUE(answer.at("id").as_string().starts_with("msg_"));
    const Reply openai =
        post(address(), "/v1/chat/completions", json::serialize(chat("tiny-text", "hello")));
    EXPECT_EQ(answer.at("content").at(0).at("text"),
              openai.json().at("choices").at(0).at("message").at("content"));
}

TEST_F(Anthropic, CountsThePromptWithoutWhatWasCached) {
    json::object body = chat("tiny-text", "the same long question, asked twice, word for word");
    const Reply counted = post(address(), "/v1/messages/count_tokens", json::serialize(body));
    ASSERT_EQ(counted.status, 200) << counted.body;
    const auto tokens = counted.json().at("input_tokens").to_number<int>();
    body["stream"] = true;
    for (int i = 0; i < 2; ++i) {
        const auto events = messages_events(ask(body).body);
        const json::value start = events.front().at("message").at("usage");
        const json::value end = events[events.size() - 2].at("usage");
        for (const json::value& usage : {start, end}) {
            EXPECT_EQ(usage.at("input_tokens").to_number<int>() +
                          usage.at("cache_read_input_tokens").to_number<int>(),
                      tokens);
        }
        if (i == 1) EXPECT_GT(end.at("cache_read_input_tokens").to_number<int>(), 0);
    }
}

TEST_F(Anthropic, CallsToolsAndTakesTheirResults) {
    json::object body = chat("tiny-text", "what is the weather?");
    body["max_tokens"] = 64;
    body["tools"] = json::array{weather_tool()};
    for (const char* choice : {"any", "tool"}) {
        body["tool_choice"] = {{"type", choice}, {"name", "weather"}};
        const json::value answer = ask_both_ways(address(), body);
        EXPECT_EQ(answer.at("stop_reason"), json::value("tool_use"));
        const json::value use = answer.at("content").as_array().back();
        EXPECT_EQ(use.at("type"), json::value("tool_use"));
        EXPECT_EQ(use.at("name"), json::value("weather"));
        EXPECT_EQ(use.at("input"), json::parse(R"({"city":"Rome"})"));
        EXPECT_FALSE(use.at("id").as_string().empty());
    }
    const json::object use{
        {"type", "tool_use"}, {"id", "t1"}, {"name", "weather"}, {"input", {{"city", "Rome"}}}};
    const json::object result{{"type", "tool_result"}, {"tool_use_id", "t1"}, {"content", "sunny"}};
    body["tool_choice"] = {{"type", "auto"}};
    body["messages"].as_array().push_back(said("assistant", json::array{use}));
    body["messages"].as_array().push_back(said("user", json::array{result}));
    const Reply told = ask(body);
    ASSERT_EQ(told.status, 200) << told.body;
    EXPECT_EQ(told.json().at("content").at(0).at("type"), json::value("text"));
}

TEST_F(Anthropic, ThinksInABlockOfItsOwn) {
    json::object body = chat("tiny-thinking", "think");
    body["max_tokens"] = 64;
    body["thinking"] = {{"type", "enabled"}, {"budget_tokens", 1024}};
    const json::value answer = ask_both_ways(address(), body);
    EXPECT_EQ(answer.at("content"),
              json::parse(R"([{"type":"thinking","thinking":"Let me think.","signature":"hearth"},)"
                          R"({"type":"text","text":"Done!"}])"));
    EXPECT_EQ(answer.at("stop_reason"), json::value("end_turn"));
    body["thinking"] = {{"type", "adaptive"}, {"display", "omitted"}};
    EXPECT_EQ(ask_both_ways(address(), body).at("content").at(0).at("thinking"), json::value(""));
    body["messages"].as_array().push_back(said("assistant", answer.at("content")));
    body["messages"].as_array().push_back(said("user", "again"));
    EXPECT_EQ(ask(body).status, 200);
}

TEST_F(Anthropic, SeesImages) {
    const json::object image{
        {"type", "image"},
        {"source", {{"type", "base64"}, {"media_type", "image/png"}, {"data", kRedPixel}}}};
    json::object body = chat("tiny-vision", "");
    body["messages"] =
        json::array{said("user", {image, {{"type", "text"}, {"text", "what is it?"}}})};
    EXPECT_EQ(ask(body).status, 200);
    const auto tokens_of = [&] {
        const Reply reply = post(address(), "/v1/messages/count_tokens", json::serialize(body));
        EXPECT_EQ(reply.status, 200) << reply.body;
        return reply.json().at("input_tokens").to_number<int>();
    };
    const int with = tokens_of();
    const json::value usage = ask(body).json().at("usage");
    EXPECT_EQ(with, usage.at("input_tokens").to_number<int>() +
                        usage.at("cache_read_input_tokens").to_number<int>());
    body["messages"] = json::array{said("user", "what is it?")};
    EXPECT_GT(with, tokens_of()) << "an image has tokens too";

    body["model"] = "tiny-text";
    body["messages"] = json::array{said("user", json::array{image})};
    const Reply blind = ask(body);
    EXPECT_EQ(blind.status, 400);
    EXPECT_TRUE(blind.body.contains("does not support images")) << blind.body;
    body["messages"].at(0).at("content").at(0).as_object()["source"] = {
        {"type", "url"}, {"url", "http://127.0.0.1:1/a.png"}};
    EXPECT_EQ(ask(body).status, 400);
}

TEST_F(Anthropic, SaysWhichStopSequenceItMet) {
    json::object body = chat("tiny-text", "hello");
    const std::string text(ask(body).json().at("content").at(0).at("text").as_string());
    ASSERT_GE(text.size(), 4U);
    const std::string word = text.substr(text.size() - 3);
    body["stop_sequences"] = {"never said", word};
    const json::value answer = ask_both_ways(address(), body);
    EXPECT_EQ(answer.at("stop_reason"), json::value("stop_sequence"));
    EXPECT_EQ(answer.at("stop_sequence"), json::value(word));
    body = chat("tiny-thinking", "end");
    body["max_tokens"] = 64;
    body["stop_sequences"] = json::array{"never said"};
    const json::value ended = ask_both_ways(address(), body);
    EXPECT_EQ(ended.at("stop_reason"), json::value("end_turn"));
    EXPECT_TRUE(ended.at("stop_sequence").is_null());
}

TEST_F(Anthropic, ObeysASchemaAndTheSystemPrompt) {
    json::object body = chat("tiny-text", "answer");
    body["max_tokens"] = 64;
    body["system"] = {{{"type", "text"}, {"text", "Say yes or no."}}};
    body["output_config"] = {{"format",
                              {{"type", "json_schema"},
                               {"schema",
                                {{"type", "object"},
                                 {"properties", {{"answer", {{"enum", {"yes", "no"}}}}}},
                                 {"required", {"answer"}},
                                 {"additionalProperties", false}}}}}};
    const json::value answer = ask_both_ways(address(), body);
    const auto text = answer.at("content").at(0).at("text").as_string();
    EXPECT_TRUE(json::parse(text).at("answer").is_string()) << text;
}

TEST_F(Anthropic, RefusesInItsOwnWords) {
    const auto refusal = [](const Reply& reply, int status, std::string_view type) {
        EXPECT_EQ(reply.status, status) << reply.body;
        const json::value body = reply.json();
        EXPECT_EQ(body.at("type"), json::value("error"));
        EXPECT_EQ(body.at("error").at("type"), json::value(type));
        EXPECT_EQ(body.at("request_id").as_string(), reply.field("request-id"));
        EXPECT_EQ(reply.field("request-id"), reply.field("x-hearth-request-id"));
        return std::string(body.at("error").at("message").as_string());
    };
    refusal(ask(chat("nobody", "x")), 404, "not_found_error");
    refusal(ask(chat("all-minilm", "x")), 400, "invalid_request_error");
    refusal(post(address(), "/v1/messages", "{"), 400, "invalid_request_error");
    std::string longer;
    for (int i = 0; i < 5000; ++i) longer += "word ";
    for (const bool stream : {false, true}) {
        json::object body = chat("tiny-text", longer);
        body["stream"] = stream;
        EXPECT_TRUE(
            refusal(ask(body), 400, "invalid_request_error").starts_with("prompt is too long: "));
    }
    refusal(get(address(), "/v1/messages/batches"), 404, "not_found_error");
    const Reply wrong = get(address(), "/v1/messages");
    refusal(wrong, 405, "invalid_request_error");
    EXPECT_EQ(wrong.field("allow"), "POST");
    refusal(post(address(), "/v1/messages/count_tokens",
                 json::serialize(json::object{{"model", "tiny-text"}})),
            400, "invalid_request_error");
}

TEST_F(Anthropic, ListsModelsForThoseWhoNameItsVersion) {
    const auto fetched = [](std::string_view target) {
        HttpProbe probe(address());
        probe.write("GET " + std::string(target) +
                    " HTTP/1.1\r\nHost: localhost\r\nanthropic-version: 2023-06-01\r\n\r\n");
        return probe.read_reply();
    };
    const json::value all = fetched("/v1/models").json();
    EXPECT_FALSE(all.at("has_more").as_bool());
    const std::string first(all.at("first_id").as_string());
    EXPECT_EQ(all.at("data").at(0).at("id").as_string(), first);
    const json::value page = fetched("/v1/models?limit=1").json();
    EXPECT_TRUE(page.at("has_more").as_bool());
    EXPECT_EQ(page.at("data").as_array().size(), 1U);
    EXPECT_EQ(fetched("/v1/models?limit=0").status, 400);
    EXPECT_EQ(fetched("/v1/models/tiny-text").json().at("type"), json::value("model"));
    const Reply unknown = fetched("/v1/models/nobody");
    EXPECT_EQ(unknown.status, 404);
    EXPECT_EQ(unknown.json().at("error").at("type"), json::value("not_found_error"));
    EXPECT_EQ(get(address(), "/v1/models").json().at("object"), json::value("list"));
}

TEST_F(Anthropic, AReaderWhoLeavesFreesItsSlot) {
    json::object body = chat("tiny-text", "hello");
    body["max_tokens"] = 4000;
    expect_leaving_frees_the_slot(address(), "/v1/messages", body, chat("tiny-text", "next"));
}

TEST(AnthropicFaults, AnEngineThatDiesEndsTheStreamWithAnErrorEvent) {
    const ServerProcess server(text_options());
    ASSERT_EQ(
        post(server.address(), "/v1/messages", json::serialize(chat("tiny-text", "warm"))).status,
        200);
    json::object body = chat("tiny-text", "hello");
    body["max_tokens"] = 3000;
    body["stream"] = true;
    std::string broken;
    std::jthread caller(
        [&] { broken = post(server.address(), "/v1/messages", json::serialize(body)).body; });
    std::this_thread::sleep_for(milliseconds(500));
    for (const pid_t pid : server.worker_pids()) ::kill(pid, SIGKILL);
    caller.join();
    const auto events = messages_events(broken);
    ASSERT_GT(events.size(), 2U);
    EXPECT_EQ(events.front().at("type"), json::value("message_start"));
    EXPECT_EQ(events.back().at("type"), json::value("error"));
    EXPECT_FALSE(broken.contains("message_stop"));
    EXPECT_EQ(
        post(server.address(), "/v1/messages", json::serialize(chat("tiny-text", "again"))).status,
        200);
}

}  // namespace
}  // namespace hearth::system_test
