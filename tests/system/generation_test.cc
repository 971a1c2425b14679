#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <thread>

#include "http_probe.h"
#include "server_process.h"
#include "testing/gguf_models.h"
#include "text_requests.h"

// Text from GGUF models through the real server and the real llama-server.
namespace hearth::system_test {
namespace {

namespace json = boost::json;
using std::chrono::seconds;
using testing::GgufKind;

class Generation : public TextServer {};

// The JSON of every "data: " line but the last, which must be [DONE].
std::vector<json::object> chunks(const Reply& reply) {
    std::vector<json::object> out;
    std::string_view rest = reply.body;
    std::string_view last;
    while (!rest.empty()) {
        const std::size_t end = std::min(rest.find('\n'), rest.size() - 1);
        const std::string_view line = rest.substr(0, end);
        rest.remove_prefix(end + 1);
        if (!line.starts_with("data: ")) continue;
        last = line.substr(6);
        if (last != "[DONE]") out.push_back(json::parse(last).as_object());
    }
    EXPECT_EQ(last, "[DONE]");
    return out;
}

std::vector<json::object> lines(const Reply& reply) {
    std::vector<json::object> out;
    std::string_view rest = reply.body;
    while (!rest.empty()) {
        const std::size_t end = std::min(rest.find('\n'), rest.size() - 1);
        out.push_back(json::parse(rest.substr(0, end)).as_object());
        rest.remove_prefix(end + 1);
    }
    return out;
}

TEST_F(Generation, AChatIsTheSameWholeAndAsAStream) {
    const Reply whole = ask("/v1/chat/completions", chat("tiny-text", "hello"));
    ASSERT_EQ(whole.status, 200) << whole.body;
    EXPECT_EQ(whole.field("x-hearth-backend"), "llama/tiny-text:q8_0");
    const json::value answer = whole.json();
    EXPECT_EQ(answer.at("object").as_string(), "chat.completion");
    EXPECT_EQ(answer.at("model").as_string(), "tiny-text");
    EXPECT_EQ(answer.at("usage").at("completion_tokens").to_number<int>(), 8);
    const json::value& choice = answer.at("choices").at(0);
    EXPECT_EQ(choice.at("finish_reason").as_string(), "length");

    json::object body = chat("tiny-text", "hello");
    body["stream"] = true;
    body["stream_options"] = {{"include_usage", true}};
    const Reply streamed = ask("/v1/chat/completions", body);
    ASSERT_EQ(streamed.status, 200) << streamed.body;
    EXPECT_TRUE(streamed.field("content-type").starts_with("text/event-stream"));
    const auto events = chunks(streamed);
    ASSERT_GE(events.size(), 10U);
    std::string text;
    for (const json::object& event : events) {
        EXPECT_EQ(event.at("model").as_string(), "tiny-text");
        for (const json::value& one : event.at("choices").as_array()) {
            const json::value* content = one.at("delta").as_object().if_contains("content");
            if (content != nullptr && content->is_string()) text += content->get_string();
        }
    }
    EXPECT_EQ(text, choice.at("message").at("content").as_string());
    EXPECT_TRUE(events.front().at("usage").is_null());
    EXPECT_EQ(events.back().at("usage").at("completion_tokens").to_number<int>(), 8);
}

TEST_F(Generation, OllamaSpeaksTheSameWords) {
    const Reply openai = ask("/v1/chat/completions", chat("tiny-text", "hello"));
    json::object body{{"model", "tiny-text"},
                      {"messages", {{{"role", "user"}, {"content", "hello"}}}},
                      {"options", {{"temperature", 0}, {"num_predict", 8}}}};
    const auto streamed = lines(ask("/api/chat", body));
    std::string text;
    for (const auto& line : streamed) text += line.at("message").at("content").as_string();
    EXPECT_EQ(text, openai.json().at("choices").at(0).at("message").at("content").as_string());
    const json::object& last = streamed.back();
    EXPECT_TRUE(last.at("done").as_bool());
    EXPECT_EQ(last.at("done_reason").as_string(), "length");
    EXPECT_EQ(last.at("eval_count").to_number<int>(), 8);
    EXPECT_GT(last.at("total_duration").to_number<std::int64_t>(), 0);

    const Reply generated = ask("/api/generate", {{"model", "tiny-text"},
                                                  {"prompt", "hello"},
                                                  {"stream", false},
                                                  {"options", body.at("options")}});
    EXPECT_EQ(generated.json().at("response").as_string(), text) << generated.body;
}

TEST_F(Generation, CompletesRawPromptsAndFillsIn) {
    const Reply completed = ask(
        "/v1/completions",
        {{"model", "tiny-text"}, {"prompt", "int main("}, {"max_tokens", 4}, {"temperature", 0}});
    ASSERT_EQ(completed.status, 200) << completed.body;
    const auto text = completed.json().at("choices").at(0).at("text").as_string();
    const Reply raw = ask("/api/generate", {{"model", "tiny-text"},
                                            {"prompt", "int main("},
                                            {"raw", true},
                                            {"stream", false},
                                            {"options", {{"num_predict", 4}, {"temperature", 0}}}});
    EXPECT_EQ(raw.json().at("response").as_string(), text) << raw.body;

    const json::object infill{{"model", "tiny-fim"},
                              {"input_prefix", "int f("},
                              {"input_suffix", "}"},
                              {"n_predict", 4},
                              {"temperature", 0}};
    const Reply filled = ask("/infill", infill);
    ASSERT_EQ(filled.status, 200) << filled.body;
    EXPECT_EQ(filled.json().at("tokens_predicted").to_number<int>(), 4);
    const Reply suffix = ask("/v1/completions", {{"model", "tiny-fim"},
                                                 {"prompt", "int f("},
                                                 {"suffix", "}"},
                                                 {"max_tokens", 4},
                                                 {"temperature", 0}});
    EXPECT_EQ(suffix.json().at("choices").at(0).at("text").as_string(),
              filled.json().at("content").as_string());
    EXPECT_EQ(suffix.json().at("object").as_string(), "text_completion");
    const Reply ollama =
        ask("/api/generate", {{"model", "tiny-fim"},
                              {"prompt", "int f("},
                              {"suffix", "}"},
                              {"stream", false},
                              {"options", {{"num_predict", 4}, {"temperature", 0}}}});
    EXPECT_EQ(ollama.status, 200) << ollama.body;
}

TEST_F(Generation, SaysWhatAModelCannotDo) {
    const Reply infill =
        ask("/infill", {{"model", "tiny-text"}, {"input_prefix", "a"}, {"input_suffix", "b"}});
    EXPECT_EQ(infill.status, 501) << infill.body;
    const Reply insert =
        ask("/api/generate", {{"model", "tiny-text"}, {"prompt", "a"}, {"suffix", "b"}});
    EXPECT_EQ(insert.status, 400) << insert.body;
    EXPECT_EQ(ask("/v1/chat/completions", chat("tiny-embedder", "a")).status, 400);
    EXPECT_EQ(ask("/v1/chat/completions", chat("all-minilm", "a")).status, 400);
    EXPECT_EQ(ask("/v1/embeddings", {{"model", "tiny-text"}, {"input", "a"}}).status, 400);
    const Reply unnamed = ask("/v1/chat/completions", chat("", "a"));
    EXPECT_EQ(unnamed.status, 400);
    EXPECT_TRUE(unnamed.body.contains("of those served can do completion")) << unnamed.body;
    const Reply unknown = ask("/v1/chat/completions", chat("nobody", "a"));
    EXPECT_EQ(unknown.status, 404);
    EXPECT_EQ(unknown.json().at("error").at("code").as_string(), "model_not_found");
}

TEST_F(Generation, CallsTools) {
    json::object body = chat("tiny-text", "what is the weather?");
    body["max_tokens"] = 64;
    body["tools"] = {{{"type", "function"},
                      {"function",
                       {{"name", "weather"},
                        {"description", "of a city"},
                        {"parameters",
                         {{"type", "object"},
                          {"properties", {{"city", {{"type", "string"}, {"enum", {"Rome"}}}}}},
                          {"required", {"city"}}}}}}}};
    body["tool_choice"] = "required";
    const Reply reply = ask("/v1/chat/completions", body);
    ASSERT_EQ(reply.status, 200) << reply.body;
    const json::value choice = reply.json().at("choices").at(0);
    EXPECT_EQ(choice.at("finish_reason").as_string(), "tool_calls");
    const json::value& function = choice.at("message").at("tool_calls").at(0).at("function");
    EXPECT_EQ(function.at("name").as_string(), "weather");
    EXPECT_TRUE(json::parse(function.at("arguments").as_string()).is_object());
    EXPECT_TRUE(choice.at("message").at("content").is_null());
}

TEST_F(Generation, ObeysASchema) {
    json::object body = chat("tiny-text", "answer");
    body["max_tokens"] = 64;
    const json::object schema{{"type", "object"},
                              {"properties", {{"answer", {{"enum", {"yes", "no"}}}}}},
                              {"required", {"answer"}},
                              {"additionalProperties", false}};
    body["response_format"] = {{"type", "json_schema"},
                               {"json_schema", {{"name", "a"}, {"schema", schema}}}};
    const Reply reply = ask("/v1/chat/completions", body);
    ASSERT_EQ(reply.status, 200) << reply.body;
    const auto text = reply.json().at("choices").at(0).at("message").at("content").as_string();
    EXPECT_TRUE(json::parse(text).at("answer").is_string()) << text;
    const Reply ollama = ask("/api/chat", {{"model", "tiny-text"},
                                           {"messages", body.at("messages")},
                                           {"format", schema},
                                           {"stream", false}});
    const auto said = ollama.json().at("message").at("content").as_string();
    EXPECT_TRUE(json::parse(said).at("answer").is_string()) << ollama.body;
}

TEST_F(Generation, SeesImages) {
    constexpr std::string_view kPng =
        "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+"
        "M9QDwADhgGAWjR9awAAAABJRU5ErkJg"
        "gg==";
    const Reply ollama =
        ask("/api/chat",
            {{"model", "tiny-vision"},
             {"messages", {{{"role", "user"}, {"content", "what is it?"}, {"images", {kPng}}}}},
             {"stream", false},
             {"options", {{"num_predict", 4}}}});
    EXPECT_EQ(ollama.status, 200) << ollama.body;
    json::object body = chat("tiny-vision", "");
    body["messages"].as_array()[0].as_object()["content"] = {
        {{"type", "image_url"},
         {"image_url", {{"url", "data:image/png;base64," + std::string(kPng)}}}}};
    EXPECT_EQ(ask("/v1/chat/completions", body).status, 200);
    body["messages"].as_array()[0].as_object()["content"] = {
        {{"type", "image_url"}, {"image_url", {{"url", "http://127.0.0.1:1/a.png"}}}}};
    const Reply fetched = ask("/v1/chat/completions", body);
    EXPECT_EQ(fetched.status, 400);
    EXPECT_EQ(fetched.json().at("error").at("param").as_string(), "messages[0].content[0]");
    const Reply blind =
        ask("/api/generate", {{"model", "tiny-text"}, {"prompt", "a"}, {"images", {kPng}}});
    EXPECT_EQ(blind.status, 400) << blind.body;
}

TEST_F(Generation, SeparatesReasoning) {
    json::object body = chat("tiny-thinking", "think");
    body["max_tokens"] = 64;
    const Reply reply = ask("/v1/chat/completions", body);
    ASSERT_EQ(reply.status, 200) << reply.body;
    const json::value message = reply.json().at("choices").at(0).at("message");
    EXPECT_EQ(message.at("reasoning_content").as_string(), "Let me think.") << reply.body;
    const Reply ollama = ask("/api/chat", {{"model", "tiny-thinking"},
                                           {"messages", body.at("messages")},
                                           {"think", true},
                                           {"stream", false},
                                           {"options", {{"temperature", 0}}}});
    EXPECT_EQ(ollama.json().at("message").at("thinking").as_string(), "Let me think.")
        << ollama.body;
}

TEST_F(Generation, GivesProbabilitiesSeedsStopsAndSeveralChoices) {
    json::object body = chat("tiny-text", "hello");
    body["logprobs"] = true;
    body["top_logprobs"] = 3;
    body["n"] = 2;
    body["seed"] = 7;
    body["temperature"] = 1;
    const Reply reply = ask("/v1/chat/completions", body);
    ASSERT_EQ(reply.status, 200) << reply.body;
    const json::value answer = reply.json();
    ASSERT_EQ(answer.at("choices").as_array().size(), 2U);
    const json::value& probabilities = answer.at("choices").at(1).at("logprobs").at("content");
    ASSERT_EQ(probabilities.as_array().size(), 8U);
    EXPECT_EQ(probabilities.at(0).at("top_logprobs").as_array().size(), 3U);

    json::object stopped = chat("tiny-text", "hello");
    const Reply free_run = ask("/v1/chat/completions", stopped);
    const std::string text(
        free_run.json().at("choices").at(0).at("message").at("content").as_string());
    stopped["stop"] = {text.substr(text.size() - 3)};
    const Reply cut = ask("/v1/chat/completions", stopped);
    EXPECT_EQ(cut.json().at("choices").at(0).at("finish_reason").as_string(), "stop") << cut.body;
}

TEST_F(Generation, TokenizesAndBack) {
    const Reply tokens = ask("/tokenize", {{"model", "tiny-text"}, {"content", "hello world"}});
    ASSERT_EQ(tokens.status, 200) << tokens.body;
    const Reply text =
        ask("/detokenize", {{"model", "tiny-text"}, {"tokens", tokens.json().at("tokens")}});
    EXPECT_EQ(text.json().at("content").as_string(), "hello world") << text.body;
    const Reply prompt =
        ask("/apply-template",
            {{"model", "tiny-text"}, {"messages", {{{"role", "user"}, {"content", "x"}}}}});
    EXPECT_TRUE(prompt.body.contains("<|im_start|>user")) << prompt.body;
}

TEST_F(Generation, TellsTheEnginesProperties) {
    const Reply reply = get(address(), "/props?x=1&model=tiny%2Dtext");
    ASSERT_EQ(reply.status, 200) << reply.body;
    EXPECT_EQ(reply.json().at("total_slots").to_number<int>(), 4);
    EXPECT_TRUE(reply.json().at("chat_template").as_string().find("im_start") !=
                boost::json::string::npos);
    EXPECT_FALSE(reply.body.contains(".gguf")) << "a path of this machine";
    EXPECT_EQ(get(address(), "/props?model=nobody").status, 404);
}

TEST_F(Generation, GivesARequestTheContextItAsksFor) {
    const ServerProcess server(text_options({"HEARTH_LLAMA__MODELS=Tiny-Text context=512"}));
    std::string longer;
    for (int i = 0; i < 700; ++i) longer += "word ";
    const auto asked = [&](std::size_t context) {
        json::object body{
            {"model", "tiny-text"}, {"prompt", longer}, {"raw", true}, {"stream", false}};
        body["options"] = {{"num_predict", 2}};
        if (context > 0) body["options"].as_object()["num_ctx"] = context;
        body["truncate"] = false;
        return post(server.address(), "/api/generate", json::serialize(body));
    };
    EXPECT_EQ(asked(0).status, 400);
    EXPECT_EQ(asked(2048).status, 200);
    const auto context = [&] {
        return get(server.address(), "/api/ps").json().at("models").at(0).at("context_length");
    };
    EXPECT_EQ(context(), json::value(2048));
    const auto workers = server.worker_pids();
    EXPECT_EQ(asked(1024).status, 200) << "there is room";
    EXPECT_EQ(server.worker_pids(), workers) << "no reload";
    EXPECT_EQ(asked(1'000'000).status, 200) << "as much as the model was trained for";
    EXPECT_EQ(context(), json::value(4096));
}

TEST_F(Generation, APromptOverTheContextIsRefusedWithBothCountsOrShortened) {
    std::string longer;
    for (int i = 0; i < 5000; ++i) longer += "word ";
    const Reply refused = ask("/v1/chat/completions", chat("tiny-text", longer));
    EXPECT_EQ(refused.status, 400);
    const std::string message(refused.json().at("error").at("message").as_string());
    EXPECT_TRUE(message.contains("4096")) << message;
    EXPECT_EQ(refused.json().at("error").at("code").as_string(), "context_length_exceeded");

    json::array messages;
    for (int i = 0; i < 10; ++i) {
        messages.push_back(
            {{"role", i % 2 == 0 ? "user" : "assistant"}, {"content", longer.substr(0, 5000)}});
    }
    messages.push_back({{"role", "user"}, {"content", "hello"}});
    json::object body{{"model", "tiny-text"},
                      {"messages", messages},
                      {"stream", false},
                      {"options", {{"num_predict", 2}}}};
    const Reply shortened = ask("/api/chat", body);
    EXPECT_EQ(shortened.status, 200) << shortened.body;
    EXPECT_LT(shortened.json().at("prompt_eval_count").to_number<int>(), 4096);
    body["truncate"] = false;
    EXPECT_EQ(ask("/api/chat", body).status, 400);
}

TEST_F(Generation, LoadsAndUnloadsOnRequest) {
    const Reply loaded = ask("/api/generate", {{"model", "tiny-fim"}, {"stream", false}});
    EXPECT_EQ(loaded.json().at("done_reason").as_string(), "load") << loaded.body;
    const auto running = [] {
        return std::string(get(address(), "/api/ps").body).contains("tiny-fim");
    };
    EXPECT_TRUE(running());
    const Reply unloaded =
        ask("/api/generate", {{"model", "tiny-fim"}, {"keep_alive", 0}, {"stream", false}});
    EXPECT_EQ(unloaded.json().at("done_reason").as_string(), "unload");
    EXPECT_TRUE(eventually(seconds(10), [&] { return !running(); }));
}

TEST_F(Generation, EmbedsWithAGgufModel) {
    const Reply reply =
        ask("/v1/embeddings", {{"model", "tiny-embedder"}, {"input", {"a b", "a b", "c"}}});
    ASSERT_EQ(reply.status, 200) << reply.body;
    const json::value data = reply.json().at("data");
    EXPECT_EQ(data.at(0).at("embedding"), data.at(1).at("embedding"));
    EXPECT_NE(data.at(0).at("embedding"), data.at(2).at("embedding"));
    EXPECT_EQ(data.at(0).at("embedding").as_array().size(), 64U);
    std::string longer;
    for (int i = 0; i < 600; ++i) longer += "word ";
    EXPECT_EQ(ask("/v1/embeddings", {{"model", "tiny-embedder"}, {"input", longer}}).status, 400);
    EXPECT_EQ(ask("/api/embed", {{"model", "tiny-embedder"}, {"input", longer}}).status, 200);
}

TEST_F(Generation, ManyStreamsAtOnceAllEnd) {
    json::object body = chat("tiny-text", "hello");
    body["max_tokens"] = 16;
    body["stream"] = true;
    std::atomic<int> complete = 0;
    std::vector<std::jthread> callers;
    for (int i = 0; i < 24; ++i) {
        callers.emplace_back([&, i] {
            json::object mine = body;
            mine["seed"] = i;
            if (chunks(ask("/v1/chat/completions", mine)).size() >= 17) ++complete;
        });
    }
    callers.clear();
    EXPECT_EQ(complete, 24);
}

TEST_F(Generation, ACallerWhoLeavesFreesItsSlot) {
    json::object body = chat("tiny-text", "hello");
    body["max_tokens"] = 4000;
    body["ignore_eos"] = true;
    expect_leaving_frees_the_slot(address(), "/v1/chat/completions", body,
                                  chat("tiny-text", "next"));
}

}  // namespace
}  // namespace hearth::system_test
