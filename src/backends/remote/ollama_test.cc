#include <gtest/gtest.h>

#include <array>

#include "backends/remote/ollama_request.h"
#include "backends/remote/wire_test_util.h"
#include "base/format.h"

namespace hearth::remote {
namespace {

using namespace std::chrono_literals;

// The thinking that an effort and a template's word ask for; null: nothing is said.
json::value think_for(json::object body) {
    const json::value sent = sent_body(*make_ollama_wire(), chat_request(std::move(body)));
    const json::value* think = sent.is_object() ? sent.as_object().if_contains("think") : &sent;
    return think != nullptr ? *think : json::value();
}

TEST(OllamaWire, ThinkingIsAskedForInItsWords) {
    const json::object on{{"enable_thinking", true}};
    const json::object off{{"enable_thinking", false}};
    EXPECT_EQ(think_for({}), json::value());
    EXPECT_EQ(think_for({{"chat_template_kwargs", on}}), json::value(true));
    EXPECT_EQ(think_for({{"chat_template_kwargs", off}}), json::value(false));
    EXPECT_EQ(think_for({{"chat_template_kwargs", off}, {"reasoning_effort", "high"}}),
              json::value(false));
    EXPECT_EQ(think_for({{"reasoning_effort", "none"}}), json::value(false));
    EXPECT_EQ(think_for({{"reasoning_effort", "minimal"}}), json::value("low"));
    EXPECT_EQ(think_for({{"reasoning_effort", "medium"}}), json::value("medium"));
    EXPECT_EQ(think_for({{"reasoning_effort", "xhigh"}}), json::value("high"));
    EXPECT_EQ(think_for({{"reasoning_effort", "max"}}), json::value("max"));
}

TEST(OllamaWire, WhatItCannotBeToldIsRefusedByName) {
    const json::object kRefused[] = {{{"n", 2}},
                                     {{"logit_bias", {{"5", 1}}}},
                                     {{"grammar", "root ::= x"}},
                                     {{"tool_choice", "required"}},
                                     {{"mirostat", 2}},
                                     {{"dry_multiplier", 0.5}},
                                     {{"samplers", {"top_k"}}},
                                     {{"reasoning_format", "none"}},
                                     {{"reasoning_effort", "enormous"}},
                                     {{"chat_template_kwargs", {{"custom", 1}}}},
                                     {{"a_word_of_tomorrow", 1}}};
    for (const json::object& body : kRefused) {
        const auto call = make_ollama_wire()->generate(chat_request(body), "m");
        ASSERT_FALSE(call) << json::serialize(body);
        EXPECT_EQ(call.error().code, Code::Unsupported) << json::serialize(body);
        EXPECT_EQ(call.error().param, body.begin()->key());
        EXPECT_TRUE(call.error().message.starts_with("Ollama upstreams cannot "));
    }
}

TEST(OllamaWire, WhatChangesNothingIsLeftOut) {
    const json::object kHarmless{
        {"user", "me"},          {"metadata", {{"a", 1}}}, {"n", 1},
        {"n_cmpl", 1},           {"logit_bias", nullptr},  {"mirostat", 0},
        {"mirostat_tau", 5},     {"grammar", ""},          {"store", false},
        {"cache_prompt", 1},     {"verbose", true},        {"logprobs", false},
        {"lora", json::array()}, {"verbosity", "medium"},  {"reasoning_format", "auto"}};
    const json::value plain = sent_body(*make_ollama_wire(), chat_request());
    EXPECT_EQ(sent_body(*make_ollama_wire(), chat_request(kHarmless)), plain);
}

TEST(OllamaWire, APromptOverTheContextIsNotCutInSilence) {
    const json::value sent = sent_body(*make_ollama_wire(), chat_request());
    EXPECT_FALSE(sent.at("truncate").as_bool());
    EXPECT_FALSE(sent.at("shift").as_bool());
}

TEST(OllamaWire, KeepAliveIsADuration) {
    EXPECT_EQ(ollama_keep_alive(300s), json::value("300000ms"));
    EXPECT_EQ(ollama_keep_alive(1ms), json::value("1ms"));
    EXPECT_EQ(ollama_keep_alive(0ms), json::value(0));
    EXPECT_EQ(ollama_keep_alive(-1ms), json::value(-1));
}

TEST(OllamaWire, ALastLineNeedsNoEndAndHalfALineIsCut) {
    const auto wire = make_ollama_wire();
    const std::string line = R"({"message":{"content":"x"},"done":true,"done_reason":"stop"})";
    EXPECT_TRUE(answer_of(*wire, chat_request(), line).result);
    const auto cut = answer_of(*wire, chat_request(), line.substr(0, line.size() - 1));
    ASSERT_FALSE(cut.result);
    EXPECT_EQ(cut.result.error().reason, "stream_cut");
    EXPECT_TRUE(cut.events.empty());
    EXPECT_EQ(answer_of(*wire, chat_request(), "").result.error().reason, "stream_cut");
}

TEST(OllamaWire, ErrorsInsideAStreamKeepTheirMeaning) {
    const auto wire = make_ollama_wire();
    const auto overflow = answer_of(
        *wire, chat_request(), "{\"error\":\"the input length exceeds the context length\"}\n");
    EXPECT_EQ(overflow.result.error().reason, "context_length_exceeded");
    const auto died = answer_of(*wire, chat_request(), "{\"error\":\"llama runner died\"}\n");
    EXPECT_EQ(died.result.error().code, Code::BadUpstream);
    EXPECT_TRUE(died.result.error().message.contains("llama runner died"));
}

TEST(OllamaWire, ToolCallsHaveABound) {
    const auto wire = make_ollama_wire();
    std::string bytes;
    for (int i = 0; i < 1024; ++i) {
        bytes += "{\"message\":{\"tool_calls\":[{\"function\":{\"name\":\"f\"}}]}}\n";
    }
    const auto most = answer_of(*wire, chat_request(), bytes + "{\"done\":true}\n");
    EXPECT_TRUE(most.result);
    const json::value& last = most.events[most.events.size() - 1].at("choices").as_array()[0];
    EXPECT_EQ(last.at("finish_reason"), json::value("tool_calls"));
    const auto more = answer_of(*wire, chat_request(),
                                bytes + "{\"message\":{\"tool_calls\":[{\"function\":{}}]}}\n");
    ASSERT_FALSE(more.result);
    EXPECT_EQ(more.events.size(), 1025U);  // what came before stands
}

TEST(OllamaWire, NumbersAreOfTheKindThatAParserMakes) {
    const auto answer =
        answer_of(*make_ollama_wire(), chat_request(),
                  "{\"message\":{\"tool_calls\":[{\"function\":{\"name\":\"f\"}}]}}\n"
                  "{\"done\":true,\"prompt_eval_count\":3,\"eval_count\":2}\n");
    int seen = 0;
    for (const json::object& event : answer.events) {
        if (const json::value* usage = event.if_contains("usage")) {
            EXPECT_TRUE(usage->at("total_tokens").is_int64());
            ++seen;
        }
        for (const json::value& choice : event.at("choices").as_array()) {
            const json::value* calls = choice.at("delta").as_object().if_contains("tool_calls");
            if (calls == nullptr) continue;
            EXPECT_TRUE(calls->at(0).at("index").is_int64());
            ++seen;
        }
    }
    EXPECT_EQ(seen, 2);
}

TEST(OllamaWire, WhoAskedForOneCallAtATimeGetsOne) {
    const auto wire = make_ollama_wire();
    const json::object one{{"parallel_tool_calls", false}};
    ASSERT_TRUE(wire->generate(chat_request(one), "m"));
    const std::string calls =
        R"({"message":{"tool_calls":[{"function":{"name":"f"}},{"function":{"name":"g"}}]}})"
        "\n"
        R"({"message":{"tool_calls":[{"function":{"name":"h"}}]}})"
        "\n{\"done\":true}\n";
    const auto count = [&](const json::object& body) {
        std::string all;
        for (const json::object& event : answer_of(*wire, chat_request(body), calls).events) {
            all += json::serialize(event);
        }
        return std::array{all.contains(R"("name":"f")"), all.contains(R"("name":"g")"),
                          all.contains(R"("name":"h")")};
    };
    EXPECT_EQ(count(one), (std::array{true, false, false}));
    EXPECT_EQ(count({}), (std::array{true, true, true}));
}

TEST(OllamaWire, WhatIsNotCountedIsNotTold) {
    const auto wire = make_ollama_wire();
    const auto stream = wire->stream(chat_request(), kStamp);
    ASSERT_TRUE(stream->feed("{\"message\":{\"content\":\"x\"},\"done\":true,\"eval_count\":4}\n"));
    EXPECT_FALSE(stream->usage().prompt_tokens);
    EXPECT_EQ(stream->usage().completion_tokens, 4U);
    const auto events = stream->take_events();
    EXPECT_EQ(events.back().at("usage"), json::value({{"completion_tokens", 4}}));
}

TEST(OllamaWire, ReadsWhenAModelWasChanged) {
    const auto changed = [](std::string_view text) {
        const auto models = make_ollama_wire()->listed(
            format(R"({{"models":[{{"name":"a","modified_at":{}}}]}})", text));
        return models ? models->front().created_unix : std::nullopt;
    };
    EXPECT_EQ(changed(R"("2026-11-21T03:25:00Z")"), 1'795'231'500);
    EXPECT_EQ(changed(R"("2026-11-21T05:25:00.123456789+02:00")"), 1'795'231'500);
    EXPECT_EQ(changed(R"("2026-11-20 22:25:00-05:00")"), 1'795'231'500);
    EXPECT_EQ(changed("1795231500"), 1'795'231'500);
    for (const char* none :
         {"0", "-5", "1e18", "null", "[]", R"("")", R"("0001-01-01T00:00:00Z")",
          R"("2026-02-30T03:25:00Z")", R"("2026-11-21T24:00:00Z")", R"("2026-11-21T03:25:00")",
          R"("2026-11-21T03:25:00+02")", R"("2026-11-21T03:25:00Zz")", R"("2026-1-21T03:25:00Z")",
          R"("-026-11-21T03:25:00Z")", R"("2026-11-21")", R"("9999-11-21T03:25:00Z")"}) {
        EXPECT_FALSE(changed(none)) << none;
    }
}

TEST(OllamaWire, ListsItsModels) {
    const auto wire = make_ollama_wire();
    EXPECT_EQ(wire->list_models().target, "/api/tags");
    EXPECT_EQ(wire->probe().target, "/api/version");
    const auto models = wire->listed(R"({"models":[
        {"name":"a:latest","model":"a:latest","details":{"context_length":8192},"capabilities":["completion","tools"]},
        {"name":"old"},{"size":1}]})");
    ASSERT_TRUE(models);
    ASSERT_EQ(models->size(), 2U);
    EXPECT_FALSE((*models)[1].created_unix);
    EXPECT_EQ((*models)[0].name, "a:latest");
    EXPECT_EQ((*models)[0].context_length, 8192U);
    EXPECT_EQ((*models)[0].capabilities.size(), 2U);
    EXPECT_FALSE((*models)[1].context_length);
    EXPECT_FALSE(wire->listed(R"({"models":null})"));
}

}  // namespace
}  // namespace hearth::remote
