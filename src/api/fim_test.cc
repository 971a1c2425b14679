#include "api/fim.h"

#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <string>
#include <string_view>

#include "base/format.h"

namespace hearth::api::fim {
namespace {

namespace json = boost::json;

Result<Call> given(std::string_view more) {
    return parse(format(R"({{"model":"m","prompt":"int f("{}}})", more));
}
std::string refusal_of(std::string_view more) {
    const auto call = given(more);
    if (call) return "accepted";
    return format("{} {}", to_string(call.error().code), call.error().param);
}
std::string written(std::string_view more, const std::vector<std::string_view>& events) {
    const auto writer = make_writer(*given(more), "name", {.id = "fim-1", .created_unix = 7});
    std::string out;
    for (const std::string_view event : events) {
        EXPECT_TRUE(writer->event(json::parse(event).as_object(), out));
    }
    writer->finish({}, out);
    return out;
}

constexpr std::string_view kA = R"({"index":0,"content":"a","stop":false})";
constexpr std::string_view kB = R"({"index":0,"content":"b","stop":false})";
constexpr std::string_view kEnd =
    R"({"index":0,"content":"","stop":true,"stop_type":"eos","tokens_evaluated":5,"tokens_predicted":2})";

TEST(Fim, APromptAndASuffixAreAnInfill) {
    const auto call = given(
        R"(,"suffix":"}","temperature":0.5,"top_p":0.9,"max_tokens":8,"min_tokens":0,"stream":true,"stop":["x"],"random_seed":7,"metadata":{"a":1},"top_k":3,"n":2,"user":null)");
    ASSERT_TRUE(call) << call.error().message;
    EXPECT_EQ(call->request.operation, inference::Operation::Infill);
    EXPECT_EQ(call->request.model, "m");
    EXPECT_TRUE(call->stream);
    EXPECT_EQ(
        call->request.body,
        json::parse(
            R"({"input_prefix":"int f(","input_suffix":"}","temperature":0.5,"top_p":0.9,"n_predict":8,"stop":["x"],"seed":7,"top_k":3})"));
    EXPECT_EQ(given("")->request.body,
              json::parse(R"({"input_prefix":"int f(","input_suffix":""})"));
}

TEST(Fim, HoldsTheAnswerToASchema) {
    const auto call = given(
        R"(,"response_format":{"type":"json_schema","json_schema":{"name":"a","schema":{"type":"string"}}})");
    ASSERT_TRUE(call) << call.error().message;
    EXPECT_EQ(call->request.body.at("json_schema"), json::parse(R"({"type":"string"})"));
    EXPECT_FALSE(call->request.body.contains("response_format"));
}

TEST(Fim, RefusesWhatIsNoSuchCall) {
    EXPECT_EQ(parse("{}").error().message, "prompt must be a string, and is required");
    EXPECT_EQ(refusal_of(R"(,"suffix":7)"), "invalid_argument suffix");
    EXPECT_EQ(refusal_of(R"(,"tools":[{"type":"function"}])"), "invalid_argument tools");
    EXPECT_EQ(refusal_of(R"(,"stop":7)"), "invalid_argument stop");
    EXPECT_EQ(refusal_of(R"(,"stop":[7])"), "invalid_argument stop");
    EXPECT_EQ(refusal_of(R"(,"max_tokens":0)"), "invalid_argument max_tokens");
    EXPECT_EQ(refusal_of(R"(,"max_tokens":1)"), "accepted");
    EXPECT_EQ(refusal_of(R"(,"random_seed":-1)"), "invalid_argument random_seed");
    EXPECT_EQ(refusal_of(R"(,"top_p":1.1)"), "invalid_argument top_p");
    EXPECT_EQ(refusal_of(R"(,"stop":"x")"), "accepted");
}

TEST(Fim, ALeastLengthIsServedOnlyWhereItIsTheMost) {
    EXPECT_EQ(refusal_of(R"(,"min_tokens":3)"), "unsupported min_tokens");
    EXPECT_EQ(refusal_of(R"(,"min_tokens":3,"max_tokens":4)"), "unsupported min_tokens");
    const auto call = given(R"(,"min_tokens":4,"max_tokens":4)");
    ASSERT_TRUE(call);
    EXPECT_TRUE(call->request.body.at("ignore_eos").as_bool());
    EXPECT_EQ(call->request.body.at("n_predict"), json::value(4));
}

TEST(Fim, AnswersInTheFormOfAChat) {
    EXPECT_EQ(json::parse(written("", {kA, kB, kEnd})),
              json::parse(
                  R"({"id":"fim-1","object":"chat.completion","created":7,"model":"name",
                "choices":[{"index":0,"message":{"role":"assistant","content":"ab","tool_calls":null},"finish_reason":"stop"}],
                "usage":{"prompt_tokens":5,"completion_tokens":2,"total_tokens":7}})"));
}

TEST(Fim, StreamsChunksWithTheUsageInTheLast) {
    const std::string out = written(
        R"(,"stream":true)", {kA, R"({"content":"b","stop_type":"limit","tokens_evaluated":5,)"
                                  R"("tokens_predicted":2})"});
    const std::string head =
        R"("id":"fim-1","object":"chat.completion.chunk","created":7,"model":"name")";
    EXPECT_EQ(
        out,
        format("data: {{{0},\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"a\",\"role\":"
               "\"assistant\"}},\"finish_reason\":null}}]}}\n\n"
               "data: {{{0},\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"b\"}},\"finish_"
               "reason\":null}}]}}\n\n"
               "data: {{{0},\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"\"}},\"finish_"
               "reason\":\"length\"}}],\"usage\":{{\"prompt_tokens\":5,\"completion_tokens\":2,"
               "\"total_tokens\":7}}}}\n\ndata: [DONE]\n\n",
               head));
}

TEST(Fim, TellsNoTokensThatItDoesNotKnow) {
    EXPECT_EQ(json::parse(written("", {kA})).at("usage"), json::value(json::object()));
    EXPECT_FALSE(written(R"(,"stream":true)", {kA}).contains("usage"));
    const std::string half = R"({"content":"b","stop_type":"eos","tokens_predicted":2})";
    EXPECT_EQ(json::parse(written("", {half})).at("usage"),
              json::value({{"completion_tokens", 2}}));
}

TEST(Fim, AnErrorStandsInTheStream) {
    const auto writer = make_writer(*given(R"(,"stream":true)"), "name", {.id = "fim-1"});
    std::string out;
    writer->error({.code = Code::Unavailable, .message = "gone"}, out);
    EXPECT_TRUE(out.starts_with("data: {\"error\":{\"message\":\"gone\"")) << out;
    EXPECT_FALSE(out.contains("[DONE]"));
}

TEST(Fim, RefusesAnswersOverItsBound) {
    const auto writer = make_writer(*given(""), "name", {.id = "fim-1"});
    const json::object event{{"content", std::string(1 << 20, 'x')}};
    std::string out;
    for (int i = 0; i < 64; ++i) ASSERT_TRUE(writer->event(event, out)) << i;
    EXPECT_EQ(writer->event(event, out).error().code, Code::TooLarge);
}

}  // namespace
}  // namespace hearth::api::fim
