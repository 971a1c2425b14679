#include "backends/worker/llama_call.h"

#include <gtest/gtest.h>

#include <boost/json.hpp>

namespace hearth::worker {
namespace {

using namespace std::chrono_literals;
namespace json = boost::json;
using inference::Operation;

constexpr std::string_view kChat =
    R"(data: {"choices":[{"delta":{"role":"assistant","content":null},"index":0}]}

data: {"choices":[{"delta":{"content":"h\u00e9llo"},"index":0}]}

:

data: {"choices":[],"usage":{"prompt_tokens":30,"completion_tokens":2,"prompt_tokens_details":{"cached_tokens":7}},"timings":{"cache_n":8,"prompt_ms":4.5,"predicted_ms":9.25}}

data: [DONE]

)";

LlamaStream chat_stream() { return LlamaStream({.operation = Operation::Chat}); }

TEST(LlamaCall, KnowsThePathsOfTheEngine) {
    EXPECT_EQ(path_of(Operation::Chat), "/v1/chat/completions");
    EXPECT_EQ(path_of(Operation::Completion), "/v1/completions");
    EXPECT_EQ(path_of(Operation::Native), "/completion");
    EXPECT_EQ(path_of(Operation::Infill), "/infill");
    EXPECT_EQ(path_of(inference::Inquiry::ApplyTemplate), "/apply-template");
    EXPECT_EQ(path_of(inference::Inquiry::Detokenize), "/detokenize");
    EXPECT_EQ(path_of(inference::Inquiry::CountTokens), "/v1/chat/completions/input_tokens");
}

TEST(LlamaCall, AsksForAStreamWithUsageAndKeepsWhatItDoesNotKnow) {
    const json::object body = {{"messages", json::array()},
                               {"temperature", 0.25},
                               {"sampler_of_tomorrow", {{"x", {1, nullptr, "y"}}}}};
    const json::value sent = json::parse(encode_llama_call({.model = "m:latest", .body = body}));
    EXPECT_EQ(sent.at("model").as_string(), "m:latest");
    EXPECT_TRUE(sent.at("stream").as_bool());
    EXPECT_TRUE(sent.at("stream_options").at("include_usage").as_bool());
    EXPECT_TRUE(sent.at("return_progress").as_bool());
    EXPECT_GT(sent.at("sse_ping_interval").as_int64(), 0);
    for (const auto& [key, value] : body) EXPECT_EQ(sent.at(key), value) << key;
}

TEST(LlamaCall, ReadsTheKindsOfErrors) {
    const std::pair<const char*, Code> kinds[] = {{"invalid_request_error", Code::InvalidArgument},
                                                  {"not_found_error", Code::NotFound},
                                                  {"not_supported_error", Code::Unsupported},
                                                  {"unavailable_error", Code::Unavailable},
                                                  {"server_error", Code::BadUpstream},
                                                  {"authentication_error", Code::BadUpstream},
                                                  {"permission_error", Code::BadUpstream}};
    for (const auto& [type, code] : kinds) {
        const json::object body = {{"error", {{"type", type}, {"message", "why"}, {"code", 400}}}};
        const Error error = decode_llama_error(400, json::serialize(body));
        EXPECT_EQ(error.code, code) << type;
        EXPECT_EQ(error.message, "why");
    }
}

TEST(LlamaCall, SaysThatAnswersHaveFilledTheContextTheyShare) {
    const Error error = decode_llama_error(
        500,
        R"({"error":{"code":500,"message":"Context size has been exceeded.","type":"server_error"}})");
    EXPECT_EQ(error.code, Code::Overloaded);
    EXPECT_EQ(error.reason, "context_full");
    EXPECT_TRUE(error.retry_after);
}

TEST(LlamaCall, WhatTheEngineCannotReadIsTheCallersFault) {
    for (const std::string why :
         {"Failed to parse messages: [json.exception.type_error.302] type must be string",
          "[json.exception.type_error.302] type must be number, but is object",
          "Failed to parse messages: Missing tool call name: {}",
          "Failed to parse tool call arguments as JSON: [json.exception.parse_error.101] empty",
          "vector::_M_range_check: __n (which is 1351121) >= this->size() (which is 151936)"}) {
        const json::object body{
            {"error", {{"code", 500}, {"message", why}, {"type", "server_error"}}}};
        const Error error = decode_llama_error(500, json::serialize(body));
        EXPECT_EQ(error.code, Code::InvalidArgument) << why;
        EXPECT_TRUE(error.message.contains(why)) << error.message;
    }
    const Error output = decode_llama_error(
        500, R"({"error":{"message":"Failed to parse input at pos 5","type":"server_error"}})");
    EXPECT_EQ(output.code, Code::BadUpstream) << "that is what the model wrote";
}

TEST(LlamaCall, SaysThatAModelIsBlind) {
    for (const char* message :
         {"image input is not supported - hint: if this is unexpected, you may need to provide the "
          "mmproj",
          "audio input is not supported - hint: if this is unexpected, provide the mmproj",
          "Multimodal data provided, but model does not support multimodal requests."}) {
        const json::object error{{"code", 500}, {"message", message}, {"type", "server_error"}};
        const Error said = decode_llama_error(500, json::serialize(json::object{{"error", error}}));
        EXPECT_EQ(said.code, Code::Unsupported) << message;
        EXPECT_EQ(said.reason, "model_cannot_see");
    }
}

TEST(LlamaCall, SaysHowFarAPromptIsOverTheContext) {
    const Error error = decode_llama_error(
        400, R"({"error":{"code":400,"message":"request exceeds","type":"exceed_context_size_error",
                 "n_prompt_tokens":5000,"n_ctx":4096}})");
    EXPECT_EQ(error.code, Code::InvalidArgument);
    EXPECT_EQ(error.reason, "context_length_exceeded");
    EXPECT_EQ(error.amount, 5000U);
    EXPECT_EQ(error.limit, 4096U);
    EXPECT_NE(error.message.find("5000"), std::string::npos);
    EXPECT_NE(error.message.find("4096"), std::string::npos);
    const Error bare = decode_llama_error(
        400, R"({"error":{"message":"too long","type":"exceed_context_size_error","n_ctx":-4}})");
    EXPECT_EQ(bare.code, Code::InvalidArgument);
    EXPECT_EQ(bare.message, "too long");
    EXPECT_EQ(bare.limit, 0U);
}

TEST(LlamaCall, GoesByTheStatusWhereTheKindIsUnknown) {
    const char* body = R"({"error":{"message":"new","type":"error_of_tomorrow"}})";
    EXPECT_EQ(decode_llama_error(422, body).code, Code::InvalidArgument);
    EXPECT_EQ(decode_llama_error(500, body).code, Code::BadUpstream);
    EXPECT_FALSE(decode_llama_error(500, R"({"error":{}})").message.empty());
    EXPECT_FALSE(decode_llama_error(500, R"({"error":{"message":5,"type":[]}})").message.empty());
}

TEST(LlamaCall, MakesASentenceOfAnyNonsense) {
    for (const char* body : {"", "null", "[]", "{", R"({"error":"text"})", "<html>", "\xff\xfe"}) {
        const Error error = decode_llama_error(500, body);
        EXPECT_EQ(error.code, Code::BadUpstream) << body;
        EXPECT_NE(error.message.find("500"), std::string::npos);
    }
}

TEST(LlamaStream, GivesTheSameEventsHoweverItsBytesAreCut) {
    for (std::size_t cut = 0; cut <= kChat.size(); ++cut) {
        LlamaStream stream = chat_stream();
        ASSERT_TRUE(stream.feed(kChat.substr(0, cut)));
        ASSERT_EQ(stream.complete(), cut == kChat.size()) << cut;
        ASSERT_TRUE(stream.feed(kChat.substr(cut)));
        const auto events = stream.take_events();
        ASSERT_EQ(events.size(), 3U) << cut;
        const auto& delta = events[1].at("choices").at(0).at("delta");
        ASSERT_EQ(delta.at("content").as_string(), "h\u00e9llo") << cut;
        ASSERT_TRUE(stream.complete());
        ASSERT_TRUE(stream.take_events().empty());
    }
}

TEST(LlamaStream, GivesEventsByteByByte) {
    LlamaStream stream = chat_stream();
    std::size_t events = 0;
    for (const char byte : kChat) {
        ASSERT_TRUE(stream.feed(std::string_view(&byte, 1)));
        events += stream.take_events().size();
    }
    EXPECT_EQ(events, 3U);
    EXPECT_TRUE(stream.complete());
}

TEST(LlamaStream, CountsTheUsageOfAChat) {
    LlamaStream stream = chat_stream();
    ASSERT_TRUE(stream.feed(kChat));
    EXPECT_EQ(stream.usage().prompt_tokens, 30U);
    EXPECT_EQ(stream.usage().completion_tokens, 2U);
    EXPECT_EQ(stream.usage().cached_tokens, 8U);
    EXPECT_EQ(stream.usage().prompt_time, std::chrono::nanoseconds(4'500us));
    EXPECT_EQ(stream.usage().completion_time, std::chrono::nanoseconds(9'250us));
}

TEST(LlamaStream, EndsANativeAnswerWithTheReasonOfItsStop) {
    LlamaStream stream({.operation = Operation::Native});
    ASSERT_TRUE(stream.feed("data: {\"content\":\"a\",\"stop\":false}\n\n"));
    EXPECT_FALSE(stream.complete());
    ASSERT_TRUE(
        stream.feed("data: {\"content\":\"\",\"stop\":true,\"stop_type\":\"limit\","
                    "\"tokens_evaluated\":12,\"tokens_predicted\":3,"
                    "\"timings\":{\"cache_n\":4}}\n\n"));
    EXPECT_TRUE(stream.complete());
    EXPECT_EQ(stream.take_events().size(), 2U);
    EXPECT_EQ(stream.usage().prompt_tokens, 12U);
    EXPECT_EQ(stream.usage().completion_tokens, 3U);
    EXPECT_EQ(stream.usage().cached_tokens, 4U);
}

TEST(LlamaStream, DoesNotTakeAStopForTheEndOfAChat) {
    LlamaStream stream = chat_stream();
    ASSERT_TRUE(stream.feed("data: {\"stop_type\":\"limit\"}\n\n"));
    EXPECT_FALSE(stream.complete());
    ASSERT_TRUE(stream.feed("data: [DONE]"));
    EXPECT_FALSE(stream.complete()) << "its line has not ended";
}

TEST(LlamaStream, ReturnsAnErrorInsideAndWhatCameBefore) {
    LlamaStream stream = chat_stream();
    const auto fed = stream.feed(
        "data: {\"choices\":[]}\n\n"
        "data: {\"error\":{\"code\":500,\"message\":\"decode failed\",\"type\":\"server_error\"}}"
        "\n\n");
    ASSERT_FALSE(fed);
    EXPECT_EQ(fed.error().code, Code::BadUpstream);
    EXPECT_EQ(fed.error().message, "decode failed");
    EXPECT_EQ(stream.take_events().size(), 1U);
    EXPECT_FALSE(stream.complete());
}

TEST(LlamaStream, RefusesWhatIsNoJsonObject) {
    for (const char* data : {"data: nonsense\n\n", "data: [1]\n\n", "data: \"x\"\n\n",
                             "data: {\"a\":\n\n", "data: null\n\n"}) {
        LlamaStream stream = chat_stream();
        const auto fed = stream.feed(data);
        ASSERT_FALSE(fed) << data;
        EXPECT_EQ(fed.error().code, Code::BadUpstream);
    }
}

TEST(LlamaStream, RefusesAnEventWithoutEnd) {
    LlamaStream stream = chat_stream();
    const std::string piece(1 << 20, 'x');
    Result<void> fed = stream.feed("data: ");
    for (int i = 0; i < 32 && fed; ++i) fed = stream.feed(piece);
    EXPECT_FALSE(fed);
}

TEST(LlamaStream, KeepsProgressToItselfUnlessItWasAskedFor) {
    constexpr std::string_view kProgress =
        "data: {\"choices\":[],\"prompt_progress\":{\"total\":9,\"processed\":3}}\n\n";
    LlamaStream silent = chat_stream();
    ASSERT_TRUE(silent.feed(kProgress));
    EXPECT_TRUE(silent.take_events().empty());
    LlamaStream asked({.body = {{"return_progress", true}}});
    ASSERT_TRUE(asked.feed(kProgress));
    EXPECT_EQ(asked.take_events().size(), 1U);
    LlamaStream declined({.body = {{"return_progress", false}}});
    ASSERT_TRUE(declined.feed(kProgress));
    EXPECT_TRUE(declined.take_events().empty());
}

}  // namespace
}  // namespace hearth::worker
