#include <gtest/gtest.h>

#include "backends/remote/anthropic_request.h"
#include "backends/remote/wire_test_util.h"

namespace hearth::remote {
namespace {

json::value sent_to(std::string_view model, json::object body) {
    return sent_body(*make_anthropic_wire(), chat_request(std::move(body)), model);
}

TEST(AnthropicWire, EffortIsABudgetToOlderModels) {
    const std::pair<const char*, std::int64_t> kBudgets[] = {{"minimal", 1024}, {"low", 2048},
                                                             {"medium", 8192},  {"high", 16384},
                                                             {"xhigh", 32768},  {"max", 32768}};
    for (const auto& [effort, budget] : kBudgets) {
        for (const char* model : {"claude-3-7-sonnet-20250219", "claude-sonnet-4-20250514",
                                  "claude-haiku-4-5", "MiniMax-M3"}) {
            const json::value sent = sent_to(model, {{"reasoning_effort", effort}});
            EXPECT_EQ(sent.at("thinking").at("type"), json::value("enabled")) << model;
            EXPECT_EQ(sent.at("thinking").at("budget_tokens"), json::value(budget)) << model;
            EXPECT_EQ(sent.at("max_tokens"), json::value(8192 + budget)) << model;
        }
    }
}

TEST(AnthropicWire, EffortIsAWordToLaterModels) {
    for (const char* model : {"claude-opus-4-6", "claude-sonnet-5", "claude-fable-5-1",
                              "anthropic.claude-opus-4-7-v1"}) {
        const json::value sent = sent_to(model, {{"reasoning_effort", "low"}});
        EXPECT_EQ(sent.at("thinking").at("type"), json::value("adaptive")) << model;
        EXPECT_EQ(sent.at("output_config").at("effort"), json::value("low")) << model;
    }
    const auto level = [](const char* model) {
        return sent_to(model, {{"reasoning_effort", "xhigh"}}).at("output_config").at("effort");
    };
    EXPECT_EQ(level("claude-opus-4-6"), json::value("max"));
    EXPECT_EQ(level("claude-opus-4-7"), json::value("xhigh"));
}

TEST(AnthropicWire, ABudgetFitsBelowTheLimit) {
    const json::value sent =
        sent_to("claude-haiku-4-5", {{"reasoning_effort", "high"}, {"max_tokens", 4096}});
    EXPECT_EQ(sent.at("thinking").at("budget_tokens"), json::value(2048));
    EXPECT_EQ(sent.at("max_tokens"), json::value(4096));
    const auto least =
        sent_to("claude-haiku-4-5", {{"reasoning_effort", "high"}, {"max_tokens", 1025}});
    EXPECT_EQ(least.at("thinking").at("budget_tokens"), json::value(1024));
    const auto call = make_anthropic_wire()->generate(
        chat_request({{"reasoning_effort", "high"}, {"max_tokens", 1024}}), "claude-haiku-4-5");
    ASSERT_FALSE(call);
    EXPECT_EQ(call.error().code, Code::Unsupported);
    EXPECT_EQ(call.error().param, "max_tokens");
}

TEST(AnthropicWire, ABudgetOfTheCallersIsTaken) {
    const auto thinking = [](const char* model, std::int64_t budget, std::int64_t limit) {
        return sent_to(model, {{"thinking_budget_tokens", budget},
                               {"chat_template_kwargs", {{"enable_thinking", true}}},
                               {"max_tokens", limit}});
    };
    const auto budget = [&](std::int64_t told, std::int64_t limit) {
        const json::value sent = thinking("claude-haiku-4-5", told, limit);
        EXPECT_EQ(sent.at("max_tokens"), json::value(limit));
        return sent.at("thinking").at("budget_tokens").to_number<std::int64_t>();
    };
    EXPECT_EQ(budget(10000, 16000), 10000);
    EXPECT_EQ(budget(15999, 16000), 15999);
    EXPECT_EQ(budget(16000, 16000), 8000) << "no room for the answer";
    EXPECT_EQ(budget(5, 16000), 1024) << "the API's least";
    const auto effort = [&](std::int64_t told) {
        const json::value sent = thinking("claude-opus-4-7", told, 64000);
        EXPECT_EQ(sent.at("thinking").at("type"), json::value("adaptive"));
        return sent.at("output_config").at("effort");
    };
    EXPECT_EQ(effort(1024), json::value("low"));
    EXPECT_EQ(effort(8192), json::value("medium"));
    EXPECT_EQ(effort(31999), json::value("high"));
}

TEST(AnthropicWire, ABudgetGoesWithoutAForcedTool) {
    const json::object body{{"reasoning_effort", "low"}, {"tool_choice", "required"}};
    const auto call = make_anthropic_wire()->generate(chat_request(body), "claude-haiku-4-5");
    ASSERT_FALSE(call);
    EXPECT_EQ(call.error().param, "tool_choice");
    EXPECT_TRUE(make_anthropic_wire()->generate(chat_request(body), "claude-opus-4-7"));
}

TEST(AnthropicWire, ALimitIsAlwaysSent) {
    EXPECT_EQ(sent_to("m", {}).at("max_tokens"), json::value(8192));
    EXPECT_EQ(sent_to("m", {{"max_tokens", -1}}).at("max_tokens"), json::value(8192));
    EXPECT_EQ(sent_to("m", {{"max_tokens", 5}}).at("max_tokens"), json::value(5));
}

TEST(AnthropicWire, WhatItCannotBeToldIsRefusedByName) {
    const json::object kRefused[] = {{{"temperature", 1.01}},
                                     {{"seed", 1}},
                                     {{"n", 2}},
                                     {{"logprobs", true}},
                                     {{"presence_penalty", 0.5}},
                                     {{"min_p", 0.1}},
                                     {{"logit_bias", {{"5", 1}}}},
                                     {{"response_format", {{"type", "json_object"}}}},
                                     {{"grammar", "x"}}};
    for (const json::object& body : kRefused) {
        const auto call = make_anthropic_wire()->generate(chat_request(body), "m");
        ASSERT_FALSE(call) << json::serialize(body);
        EXPECT_EQ(call.error().code, Code::Unsupported) << json::serialize(body);
        EXPECT_EQ(call.error().param, body.begin()->key());
    }
    EXPECT_TRUE(make_anthropic_wire()->generate(chat_request({{"temperature", 1}}), "m"));
}

TEST(AnthropicWire, OnlyAChatCanBeAsked) {
    const auto wire = make_anthropic_wire();
    for (const auto operation : {inference::Operation::Completion, inference::Operation::Native,
                                 inference::Operation::Infill}) {
        const auto call = wire->generate({.operation = operation, .body = {{"prompt", "x"}}}, "m");
        ASSERT_FALSE(call);
        EXPECT_EQ(call.error().code, Code::Unsupported);
    }
    EXPECT_EQ(wire->embed({.inputs = {"x"}}, "m").error().code, Code::Unsupported);
    EXPECT_EQ(wire->embedded("{}", {}).error().code, Code::Unsupported);
}

TEST(AnthropicWire, TurnsOfOneRoleAreOne) {
    const json::value sent = sent_to(
        "m", {{"messages",
               {{{"role", "user"}, {"content", "a"}},
                {{"role", "user"}, {"content", ""}},
                {{"role", "user"}, {"content", "b"}},
                {{"role", "assistant"}, {"content", "c"}, {"reasoning_content", "unsigned"}},
                {{"role", "user"}, {"content", "d"}}}}});
    const json::array& turns = sent.at("messages").as_array();
    ASSERT_EQ(turns.size(), 3U);
    EXPECT_EQ(turns[0].at("content").as_array().size(), 2U);
    EXPECT_EQ(turns[1].at("content").as_array().size(), 1U);
    EXPECT_FALSE(sent.as_object().contains("system"));
}

TEST(AnthropicWire, AConversationNeedsAMessage) {
    const auto call = make_anthropic_wire()->generate(
        chat_request({{"messages", {{{"role", "system"}, {"content", "x"}}}}}), "m");
    ASSERT_FALSE(call);
    EXPECT_EQ(call.error().code, Code::InvalidArgument);
    EXPECT_EQ(call.error().param, "messages");
}

TEST(AnthropicWire, TheVersionOfTheApiIsNamed) {
    const auto wire = make_anthropic_wire();
    const auto call = wire->generate(chat_request(), "m");
    ASSERT_TRUE(call);
    EXPECT_EQ(call->headers.find("anthropic-version"), "2023-06-01");
    EXPECT_EQ(wire->list_models().headers.find("anthropic-version"), "2023-06-01");
    EXPECT_EQ(wire->probe().headers.find("anthropic-version"), "2023-06-01");
    EXPECT_FALSE(call->headers.find("x-api-key"));
}

TEST(AnthropicWire, ErrorsInsideAStreamKeepTheirMeaning) {
    const std::pair<const char*, Code> kTypes[] = {{"overloaded_error", Code::Overloaded},
                                                   {"rate_limit_error", Code::RateLimited},
                                                   {"invalid_request_error", Code::InvalidArgument},
                                                   {"api_error", Code::BadUpstream},
                                                   {"authentication_error", Code::BadUpstream}};
    for (const auto& [type, code] : kTypes) {
        const json::object event{{"type", "error"}, {"error", {{"type", type}, {"message", "x"}}}};
        const auto answered = answer_of(*make_anthropic_wire(), chat_request(),
                                        "event: error\ndata: " + json::serialize(event) + "\n\n");
        ASSERT_FALSE(answered.result);
        EXPECT_EQ(answered.result.error().code, code) << type;
    }
    EXPECT_FALSE(
        answer_of(*make_anthropic_wire(), chat_request(), "data: {\"type\":\"error\"}\n\n").result);
}

TEST(AnthropicWire, WhatIsAddedOneDayIsIgnored) {
    const auto answered =
        answer_of(*make_anthropic_wire(), chat_request(),
                  "data: {\"type\":\"ping\"}\n\n"
                  "data: {\"type\":\"tomorrow\",\"x\":1}\n\n"
                  "data: {\"type\":\"content_block_delta\",\"delta\":{\"type\":\"new\"}}\n\n"
                  "data: "
                  "{\"type\":\"content_block_delta\",\"delta\":{\"type\":\"input_json_delta\","
                  "\"partial_json\":\"{}\"}}\n\n"
                  "data: {\"type\":\"message_stop\"}\n\n");
    EXPECT_TRUE(answered.result);
    EXPECT_EQ(answered.events.size(), 2U);  // the beginning and the end
}

TEST(AnthropicWire, ToolCallsHaveABound) {
    std::string bytes;
    for (int i = 0; i < 1024; ++i) {
        bytes +=
            "data: "
            "{\"type\":\"content_block_start\",\"content_block\":{\"type\":\"tool_use\"}}\n\n";
    }
    const std::string end = "data: {\"type\":\"message_stop\"}\n\n";
    EXPECT_TRUE(answer_of(*make_anthropic_wire(), chat_request(), bytes + end).result);
    bytes += bytes.substr(0, bytes.size() / 1024);
    EXPECT_FALSE(answer_of(*make_anthropic_wire(), chat_request(), bytes + end).result);
}

TEST(AnthropicWire, ListsItsModels) {
    const auto models = make_anthropic_wire()->listed(R"({"data":[
        {"type":"model","id":"claude-x","max_input_tokens":200000,"created_at":"2026-11-21T03:25:00Z",
         "capabilities":{"image_input":{"supported":true},"thinking":{"supported":false}}},
        {"id":"plain"}, {}],"has_more":false})");
    ASSERT_TRUE(models);
    ASSERT_EQ(models->size(), 2U);
    EXPECT_EQ((*models)[0].context_length, 200000U);
    EXPECT_EQ((*models)[0].created_unix, 1'795'231'500);
    EXPECT_EQ((*models)[0].capabilities,
              (std::vector<std::string>{"completion", "tools", "vision"}));
    EXPECT_FALSE((*models)[1].context_length);
}

}  // namespace
}  // namespace hearth::remote
