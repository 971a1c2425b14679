// What reaches a server elsewhere of the words of a caller, and comes back of its own.
#include <gtest/gtest.h>

#include <boost/json.hpp>

#include "base/format.h"
#include "http_probe.h"
#include "matrix_upstream.h"
#include "server_process.h"

namespace hearth::system_test {
namespace {

namespace json = boost::json;
using matrix::ScriptedUpstream;

class WordsElsewhereTest : public ::testing::Test {
  protected:
    static std::string backend(std::string_view name, std::string_view key,
                               std::string_view value) {
        return format("HEARTH_BACKENDS__{}__{}={}", name, key, value);
    }
    Reply ask(std::string_view fields, const std::string& body) const {
        HttpProbe probe(gateway_.address());
        probe.write(
            format("POST /v1/messages HTTP/1.1\r\nHost: localhost\r\nContent-Type: "
                   "application/json\r\n{}Content-Length: {}\r\n\r\n{}",
                   fields, body.size(), body));
        return probe.read_reply();
    }
    static std::string message(std::string_view model, std::string_view more = {}) {
        return format(R"({{"model":"{}/scripted","max_tokens":2000,)"
                      R"("messages":[{{"role":"user","content":"hi"}}]{}}})",
                      model, more);
    }

    ScriptedUpstream openai_{"openai"};
    ScriptedUpstream ollama_{"ollama"};
    ScriptedUpstream anthropic_{"anthropic"};
    ServerProcess gateway_{
        {.arguments = {},
         .environment = {
             "HEARTH_MODELS__INSTALLED=false", "HEARTH_ROUTING__FIND_OLLAMA=false",
             backend("O", "URL", "http://" + openai_.address()),
             backend("S", "URL", "http://" + openai_.address()), backend("S", "STRICT", "yes"),
             backend("L", "URL", "http://" + ollama_.address()), backend("L", "KIND", "ollama"),
             backend("A", "URL", "http://" + anthropic_.address()),
             backend("A", "KIND", "anthropic")}}};
};

TEST_F(WordsElsewhereTest, ABudgetOfThinkingIsRefusedByNobody) {
    const char* kThinking = R"(,"thinking":{"type":"enabled","budget_tokens":1500})";
    for (const char* model : {"o", "l", "a"}) {
        const Reply reply = ask("", message(model, kThinking));
        EXPECT_EQ(reply.status, 200) << model << ": " << reply.body;
    }
    EXPECT_EQ(json::parse(ollama_.last_body()).at("think"), json::value(true));
    // What is ours of the conversation makes it a translated one.
    const Reply translated =
        ask("", R"({"model":"a/scripted","max_tokens":2000,)"
                R"("thinking":{"type":"enabled","budget_tokens":1500},"messages":[)"
                R"({"role":"user","content":"hi"},{"role":"assistant","content":[)"
                R"({"type":"thinking","thinking":"t","signature":"hearth"},)"
                R"({"type":"text","text":"yes"}]},{"role":"user","content":"and?"}]})");
    EXPECT_EQ(translated.status, 200) << translated.body;
    const std::string sent = anthropic_.last_body();
    EXPECT_FALSE(sent.contains("hearth")) << sent;
    EXPECT_EQ(json::parse(sent).at("thinking").at("budget_tokens"), json::value(1500)) << sent;
}

TEST_F(WordsElsewhereTest, AServerThatKnowsOnlyOpenaisWordsIsToldNoOthers) {
    const char* kThinking = R"(,"thinking":{"type":"enabled","budget_tokens":1500})";
    ASSERT_EQ(ask("", message("s", kThinking)).status, 200);
    EXPECT_EQ(json::parse(openai_.last_body()),
              json::parse(R"({"model":"scripted","messages":[{"role":"user","content":"hi"}],)"
                          R"("max_completion_tokens":2000,"stream":true,)"
                          R"("stream_options":{"include_usage":true}})"));
}

TEST_F(WordsElsewhereTest, WhatOnlyOneDialectHasGoesToItsOwnServersAlone) {
    const char* kTools = R"(,"tools":[{"type":"web_search_20250305","name":"web_search"}])"
                         R"(,"tool_choice":{"type":"tool","name":"web_search"})";
    EXPECT_EQ(ask("", message("a", kTools)).status, 200);
    EXPECT_TRUE(anthropic_.last_body().contains("web_search_20250305"));
    const Reply refused = ask("", message("o", kTools));
    EXPECT_EQ(refused.status, 400);
    EXPECT_TRUE(refused.body.contains("tools[0].type")) << refused.body;
    EXPECT_EQ(openai_.calls(), 0);
    const auto look = [&](std::string_view model) {
        return post(
            gateway_.address(), "/v1/chat/completions",
            format(R"({{"model":"{}/scripted","messages":[{{"role":"user","content":[)"
                   R"({{"type":"image_url","image_url":{{"url":"https://x/y.png"}}}}]}}]}})",
                   model));
    };
    EXPECT_EQ(look("o").status, 200);
    EXPECT_TRUE(openai_.last_body().contains("https://x/y.png"));
    const Reply blind = look("l");
    EXPECT_EQ(blind.status, 400);
    EXPECT_TRUE(blind.body.contains("nothing is fetched")) << blind.body;
}

TEST_F(WordsElsewhereTest, TheFieldsOfAnthropicsDialectTravelAlong) {
    const std::string fields =
        "Anthropic-Version: 2024-10-22\r\nanthropic-beta: a-2025,b\r\nAnthropic-Beta: c\r\n"
        "x-api-key: the-callers-own\r\n";
    ASSERT_EQ(ask(fields, message("a")).status, 200);
    const std::string head = anthropic_.last_head();
    EXPECT_TRUE(head.contains("anthropic-version: 2024-10-22\r\n")) << head;
    EXPECT_TRUE(head.contains("anthropic-beta: a-2025,b\r\n")) << head;
    EXPECT_TRUE(head.contains("anthropic-beta: c\r\n")) << head;
    EXPECT_FALSE(head.contains("2023-06-01")) << head;
    EXPECT_FALSE(head.contains("the-callers-own")) << head;
    const Reply too_much =
        ask(format("anthropic-beta: {}\r\n", std::string(9000, 'b')), message("a"));
    EXPECT_EQ(too_much.status, 400);
    EXPECT_TRUE(too_much.body.contains("anthropic-beta")) << too_much.body;
}

}  // namespace
}  // namespace hearth::system_test
