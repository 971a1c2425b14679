#include <gtest/gtest.h>

#include <boost/json.hpp>

#include "api/collect.h"
#include "api/openai_generate.h"
#include "base/format.h"

namespace hearth::api::openai {
namespace {

namespace json = boost::json;

GenerateCall chat_call(std::string_view more) {
    return *parse_chat(
        format(R"({{"model":"m","messages":[{{"role":"user","content":"x"}}]{}}})", more));
}
GenerateCall completion_call(std::string_view more) {
    return *parse_completion(format(R"({{"model":"m","prompt":"p"{}}})", more));
}

std::unique_ptr<AnswerWriter> writer_of(const GenerateCall& call) {
    return make_writer(call, "name", {.id = "cmpl-1", .created_unix = 7});
}

void give(AnswerWriter& writer, std::string_view event, std::string& out) {
    ASSERT_TRUE(writer.event(json::parse(event).as_object(), out));
}

std::string answer_to(const GenerateCall& call, const std::vector<std::string_view>& events) {
    const auto writer = writer_of(call);
    std::string out;
    for (const std::string_view event : events) give(*writer, event, out);
    writer->finish({}, out);
    return out;
}
json::value whole_answer(const GenerateCall& call, const std::vector<std::string_view>& events) {
    return json::parse(answer_to(call, events));
}
// The events of a stream, each as JSON; the end of it as a text.
std::vector<json::value> split(std::string_view stream) {
    std::vector<json::value> out;
    while (!stream.empty()) {
        const std::size_t end = stream.find("\n\n");
        EXPECT_NE(end, std::string_view::npos);
        const std::string_view event = stream.substr(0, end);
        EXPECT_TRUE(event.starts_with("data: ")) << event;
        const std::string_view data = event.substr(6);
        out.push_back(data == "[DONE]" ? json::value("[DONE]") : json::parse(data));
        stream.remove_prefix(end + 2);
    }
    return out;
}
std::vector<json::value> streamed(const GenerateCall& call,
                                  const std::vector<std::string_view>& events) {
    return split(answer_to(call, events));
}

constexpr std::string_view kFirst =
    R"({"choices":[{"finish_reason":null,"index":0,"delta":{"role":"assistant","content":null}}],"created":100,"id":"chatcmpl-1","model":"file.gguf","object":"chat.completion.chunk"})";
constexpr std::string_view kText =
    R"({"choices":[{"finish_reason":null,"index":0,"delta":{"content":"Hé"}}],"created":101,"id":"chatcmpl-1","model":"file.gguf","object":"chat.completion.chunk"})";
constexpr std::string_view kEnd =
    R"({"choices":[{"finish_reason":"stop","index":0,"delta":{}}],"created":102,"id":"chatcmpl-1","model":"file.gguf","object":"chat.completion.chunk"})";
constexpr std::string_view kUsage =
    R"({"choices":[],"created":102,"id":"chatcmpl-1","model":"file.gguf","object":"chat.completion.chunk","usage":{"completion_tokens":2,"prompt_tokens":5,"total_tokens":7,"prompt_tokens_details":{"cached_tokens":1}},"timings":{"predicted_ms":1.5}})";

TEST(OpenAiWriter, StreamsWithoutUsageUnlessAskedForIt) {
    const auto events = streamed(chat_call(R"(,"stream":true)"), {kFirst, kText, kEnd, kUsage});
    ASSERT_EQ(events.size(), 4U);
    for (std::size_t i = 0; i < 3; ++i) {
        EXPECT_FALSE(events[i].as_object().contains("usage"));
        EXPECT_EQ(events[i].at("model"), json::value("name"));
        EXPECT_EQ(events[i].at("created"), json::value(100));  // as in the first
    }
    EXPECT_FALSE(events[1].as_object().contains("timings"));
    EXPECT_EQ(events[2].at("choices").at(0).at("finish_reason"), json::value("stop"));
    EXPECT_EQ(events[2].at("timings"), json::parse(R"({"predicted_ms":1.5})"));
    EXPECT_EQ(events[3], json::value("[DONE]"));
}

TEST(OpenAiWriter, StreamsUsageInAnEventOfItsOwnWhenAskedForIt) {
    const auto events =
        streamed(chat_call(R"(,"stream":true,"stream_options":{"include_usage":true})"),
                 {kFirst, kText, kEnd, kUsage});
    ASSERT_EQ(events.size(), 5U);
    for (std::size_t i = 0; i < 3; ++i) {
        EXPECT_TRUE(events[i].at("usage").is_null());
        EXPECT_FALSE(events[i].as_object().contains("timings"));
    }
    EXPECT_EQ(
        events[3],
        json::parse(
            R"({"choices":[],"created":100,"id":"chatcmpl-1","model":"name","object":"chat.completion.chunk","usage":{"completion_tokens":2,"prompt_tokens":5,"total_tokens":7,"prompt_tokens_details":{"cached_tokens":1}},"timings":{"predicted_ms":1.5}})"));
    EXPECT_EQ(events[4], json::value("[DONE]"));
}

TEST(OpenAiWriter, HoldsBackOnlyTheEventThatEndsAChoice) {
    const auto writer = writer_of(chat_call(R"(,"stream":true)"));
    std::string out;
    give(*writer, kText, out);
    EXPECT_EQ(split(std::exchange(out, {})).size(), 1U);
    give(*writer, kEnd, out);
    EXPECT_TRUE(out.empty());
    give(*writer, kText, out);  // no usage came: nothing is lost, nothing out of order
    const auto events = split(out);
    ASSERT_EQ(events.size(), 2U);
    EXPECT_EQ(events[0].at("choices").at(0).at("finish_reason"), json::value("stop"));
}

TEST(OpenAiWriter, AddsTheUsageOfSeveralChoicesAndCountsAPromptOnce) {
    constexpr std::string_view kEnd1 =
        R"({"choices":[{"finish_reason":"length","index":1,"delta":{}}],"id":"chatcmpl-1"})";
    constexpr std::string_view kUsage1 =
        R"({"choices":[],"id":"chatcmpl-1","usage":{"completion_tokens":3,"prompt_tokens":5,"total_tokens":8}})";
    const auto events =
        streamed(chat_call(R"(,"n":2,"stream":true,"stream_options":{"include_usage":true})"),
                 {kEnd, kUsage, kEnd1, kUsage1});
    ASSERT_EQ(events.size(), 4U);
    EXPECT_EQ(
        events[2].at("usage"),
        json::parse(
            R"({"completion_tokens":5,"prompt_tokens":5,"total_tokens":10,"prompt_tokens_details":{"cached_tokens":1}})"));
    const auto whole = whole_answer(chat_call(R"(,"n":2)"), {kEnd, kUsage, kEnd1, kUsage1});
    EXPECT_EQ(whole.at("usage"), events[2].at("usage"));
    EXPECT_EQ(whole.at("choices").as_array().size(), 2U);
    EXPECT_EQ(whole.at("choices").at(1).at("finish_reason"), json::value("length"));
}

TEST(OpenAiWriter, PutsAWholeAnswerTogether) {
    EXPECT_EQ(
        whole_answer(chat_call(""), {kFirst, kText, kText, kEnd, kUsage}),
        json::parse(
            R"({"id":"chatcmpl-1","object":"chat.completion","created":102,"model":"name","choices":[{"index":0,"message":{"role":"assistant","content":"HéHé"},"finish_reason":"stop","logprobs":null}],"usage":{"completion_tokens":2,"prompt_tokens":5,"total_tokens":7,"prompt_tokens_details":{"cached_tokens":1}},"timings":{"predicted_ms":1.5}})"));
}

constexpr std::string_view kCall1 =
    R"({"choices":[{"finish_reason":null,"index":0,"delta":{"tool_calls":[{"index":0,"id":"abc","type":"function","function":{"name":"f","arguments":""}}]}}]})";
constexpr std::string_view kCall2 =
    R"({"choices":[{"finish_reason":null,"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{\"a\":"}}]}}]})";
constexpr std::string_view kCall3 =
    R"({"choices":[{"finish_reason":null,"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"1}"}}]}}]})";
constexpr std::string_view kCallEnd =
    R"({"choices":[{"finish_reason":"tool_calls","index":0,"delta":{}}]})";

TEST(OpenAiWriter, AnswersInTheFormOfFunctionsToACallerOfThem) {
    const auto whole = whole_answer(chat_call(R"(,"functions":[{"name":"f"}])"),
                                    {kCall1, kCall2, kCall3, kCallEnd});
    EXPECT_EQ(
        whole.at("choices").at(0).at("message"),
        json::parse(
            R"({"role":"assistant","content":null,"function_call":{"name":"f","arguments":"{\"a\":1}"}})"));
    EXPECT_EQ(whole.at("choices").at(0).at("finish_reason"), json::value("function_call"));
    const auto events = streamed(chat_call(R"(,"stream":true,"functions":[{"name":"f"}])"),
                                 {kCall1, kCall2, kCallEnd});
    EXPECT_EQ(events[0].at("choices").at(0).at("delta"),
              json::parse(R"({"function_call":{"name":"f","arguments":""}})"));
    EXPECT_EQ(events[1].at("choices").at(0).at("delta"),
              json::parse(R"({"function_call":{"arguments":"{\"a\":"}})"));
    EXPECT_EQ(events[2].at("choices").at(0).at("finish_reason"), json::value("function_call"));
}

TEST(OpenAiWriter, PassesToolCallsOnInPieces) {
    const auto events = streamed(chat_call(R"(,"stream":true)"), {kCall1, kCall2, kCallEnd});
    EXPECT_EQ(
        events[0].at("choices").at(0).at("delta"),
        json::parse(
            R"({"tool_calls":[{"index":0,"id":"abc","type":"function","function":{"name":"f","arguments":""}}]})"));
    EXPECT_EQ(events[2].at("choices").at(0).at("finish_reason"), json::value("tool_calls"));
}

constexpr std::string_view kChatProbs =
    R"({"choices":[{"index":0,"finish_reason":null,"delta":{"content":"a"},"logprobs":{"content":[{"id":1,"token":"a","bytes":[97],"logprob":-0.5,"top_logprobs":[{"token":"a","logprob":-0.5},{"token":"b","logprob":-1.5}]}]}}]})";

TEST(OpenAiWriter, TellsAsManyAlternativesAsWereAskedFor) {
    const auto top = [](std::string_view more) {
        const auto whole = whole_answer(chat_call(more), {kChatProbs});
        return whole.at("choices")
            .at(0)
            .at("logprobs")
            .at("content")
            .at(0)
            .at("top_logprobs")
            .as_array()
            .size();
    };
    EXPECT_EQ(top(R"(,"logprobs":true)"), 0U);
    EXPECT_EQ(top(R"(,"logprobs":true,"top_logprobs":1)"), 1U);
    EXPECT_EQ(top(R"(,"logprobs":true,"top_logprobs":5)"), 2U);
}

std::string completion_event(std::string_view text, std::string_view probs, int index = 0) {
    return format(
        R"({{"choices":[{{"text":"{}","index":{},"logprobs":{{"content":[{}]}},"finish_reason":null}}],"object":"text_completion"}})",
        text, index, probs);
}

TEST(OpenAiWriter, GivesTheListsOfCompletionsBesideTheContent) {
    const std::string first = completion_event(
        "é",
        R"({"token":"é","logprob":-0.5,"top_logprobs":[{"token":"é","logprob":-0.5},{"token":"é","logprob":-3.5},{"token":"b","logprob":-4.5}]})");
    const std::string second =
        completion_event("ab", R"({"token":"ab","logprob":-1.5,"top_logprobs":[]},{"token":"c"})");
    const auto whole = whole_answer(completion_call(R"(,"logprobs":2)"), {first, second});
    EXPECT_EQ(
        whole.at("choices").at(0).at("logprobs"),
        json::parse(
            R"({"content":[{"token":"é","logprob":-0.5,"top_logprobs":[{"token":"é","logprob":-0.5},{"token":"é","logprob":-3.5}]},{"token":"ab","logprob":-1.5,"top_logprobs":[]},{"token":"c"}],
                "tokens":["é","ab","c"],"token_logprobs":[-0.5,-1.5,null],"top_logprobs":[{"é":-0.5},{"ab":-1.5},null],"text_offset":[0,1,3]})"));
    const auto events =
        streamed(completion_call(R"(,"logprobs":2,"stream":true)"), {first, second});
    EXPECT_EQ(events[0].at("choices").at(0).at("logprobs").at("text_offset"), json::parse("[0]"));
    EXPECT_EQ(events[1].at("choices").at(0).at("logprobs").at("text_offset"), json::parse("[1,3]"));
    EXPECT_EQ(events[1].at("choices").at(0).at("logprobs").at("tokens"),
              json::parse(R"(["ab","c"])"));
}

TEST(OpenAiWriter, PutsThePromptBeforeItsAnswers) {
    const auto call =
        *parse_completion(R"({"model":"m","prompt":["one ","two "],"n":2,"echo":true})");
    std::vector<std::string> events;
    for (const int index : {0, 1, 2, 3, 0}) events.push_back(completion_event("x", "", index));
    const std::vector<std::string_view> views(events.begin(), events.end());
    const auto whole = whole_answer(call, views);
    ASSERT_EQ(whole.at("choices").as_array().size(), 4U);
    EXPECT_EQ(whole.at("choices").at(0).at("text"), json::value("one xx"));
    EXPECT_EQ(whole.at("choices").at(1).at("text"), json::value("one x"));
    EXPECT_EQ(whole.at("choices").at(3).at("text"), json::value("two x"));
    GenerateCall stream = call;
    stream.stream = true;
    const auto chunks = streamed(stream, views);
    EXPECT_EQ(chunks[2].at("choices").at(0).at("text"), json::value("two x"));
    EXPECT_EQ(chunks[4].at("choices").at(0).at("text"), json::value("x"));
}

// Engines make one token to read a prompt.
TEST(OpenAiWriter, SaysNothingWhenNoTokensAreWanted) {
    const std::string event = completion_event("x", R"({"token":"x","logprob":-1})");
    auto whole = whole_answer(completion_call(R"(,"max_tokens":0,"echo":true)"), {event});
    EXPECT_EQ(whole.at("choices").at(0).at("text"), json::value("p"));
    EXPECT_TRUE(whole.at("choices").at(0).at("logprobs").is_null());
    EXPECT_EQ(whole_answer(completion_call(R"(,"max_tokens":0,"n_predict":2)"), {event})
                  .at("choices")
                  .at(0)
                  .at("text"),
              json::value("x"));
    whole = whole_answer(chat_call(R"(,"max_completion_tokens":0)"), {kText, kEnd});
    EXPECT_EQ(whole.at("choices").at(0).at("message").at("content"), json::value(""));
    const auto events =
        streamed(chat_call(R"(,"max_tokens":0,"stream":true)"), {kFirst, kText, kEnd});
    EXPECT_TRUE(events[0].at("choices").at(0).at("delta").at("content").is_null());
    EXPECT_EQ(events[1].at("choices").at(0).at("delta").at("content"), json::value(""));
}

constexpr std::string_view kCompletionEnd =
    R"({"choices":[{"text":"","index":0,"logprobs":null,"finish_reason":"length"}],"created":9,"id":"c","object":"text_completion","usage":{"completion_tokens":1,"prompt_tokens":2,"total_tokens":3},"timings":{"prompt_n":2}})";

TEST(OpenAiWriter, MovesTheUsageOfACompletionToTheEnd) {
    auto events = streamed(completion_call(R"(,"stream":true)"), {kCompletionEnd});
    ASSERT_EQ(events.size(), 2U);
    EXPECT_FALSE(events[0].as_object().contains("usage"));
    EXPECT_TRUE(events[0].as_object().contains("timings"));
    events = streamed(completion_call(R"(,"stream":true,"stream_options":{"include_usage":true})"),
                      {kCompletionEnd});
    ASSERT_EQ(events.size(), 3U);
    EXPECT_TRUE(events[0].at("usage").is_null());
    EXPECT_TRUE(events[0].as_object().contains("timings"));
    EXPECT_EQ(
        events[1],
        json::parse(
            R"({"choices":[],"created":9,"id":"c","object":"text_completion","model":"name","usage":{"completion_tokens":1,"prompt_tokens":2,"total_tokens":3}})"));
}

TEST(OpenAiWriter, AddsTheUsageOfSeveralPrompts) {
    constexpr std::string_view kSecond =
        R"({"choices":[{"text":"y","index":1,"finish_reason":"stop"}],"usage":{"completion_tokens":4,"prompt_tokens":10,"total_tokens":14}})";
    const auto call = *parse_completion(R"({"model":"m","prompt":["a","b"]})");
    EXPECT_EQ(whole_answer(call, {kCompletionEnd, kSecond}).at("usage"),
              json::parse(R"({"completion_tokens":5,"prompt_tokens":12,"total_tokens":17})"));
}

constexpr std::string_view kNative =
    R"({"index":0,"content":"ab","tokens":[5,6],"stop":false,"id_slot":0,"tokens_predicted":1,"tokens_evaluated":3})";
constexpr std::string_view kNativeEnd =
    R"({"index":0,"content":"","tokens":[],"stop":true,"model":"f","tokens_predicted":2,"tokens_evaluated":3,"stop_type":"limit","truncated":false,"timings":{"prompt_ms":1.25}})";

TEST(OpenAiWriter, AnswersInfillsInTheWordsOfCompletions) {
    constexpr std::string_view kProbs =
        R"({"index":0,"content":"x","stop":false,"completion_probabilities":[{"token":"x","logprob":-1,"top_logprobs":[]}]})";
    const auto call = completion_call(R"(,"suffix":"s","logprobs":1)");
    EXPECT_EQ(whole_answer(call, {kNative, kProbs, kNativeEnd}),
              json::parse(
                  R"({"id":"cmpl-1","object":"text_completion","created":7,"model":"name",
                "choices":[{"index":0,"text":"abx","finish_reason":"length","logprobs":{"content":[{"token":"x","logprob":-1,"top_logprobs":[]}],"tokens":["x"],"token_logprobs":[-1],"top_logprobs":[{"x":-1}],"text_offset":[0]}}],
                "usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5},"timings":{"prompt_ms":1.25}})"));
    const auto events =
        streamed(completion_call(R"(,"suffix":"s","stream":true)"), {kNative, kNativeEnd});
    ASSERT_EQ(events.size(), 3U);
    EXPECT_EQ(events[0].at("choices").at(0).at("text"), json::value("ab"));
    EXPECT_TRUE(events[0].at("choices").at(0).at("finish_reason").is_null());
    EXPECT_EQ(events[1].at("choices").at(0).at("finish_reason"), json::value("length"));
}

TEST(OpenAiWriter, PassesTheEventsOfCompletionOn) {
    const auto call = *parse_native(R"({"prompt":"p","stream":true})");
    const auto events = streamed(call, {kNative, kNativeEnd});
    ASSERT_EQ(events.size(), 2U);  // and no [DONE]
    EXPECT_EQ(events[0].at("tokens"), json::parse("[5,6]"));
    EXPECT_EQ(events[1].at("model"), json::value("name"));
    EXPECT_EQ(events[1].at("stop_type"), json::value("limit"));
}

TEST(OpenAiWriter, JoinsTheEventsOfCompletion) {
    auto whole = whole_answer(*parse_native(R"({"prompt":"p"})"), {kNative, kNative, kNativeEnd});
    EXPECT_EQ(whole.at("content"), json::value("abab"));
    EXPECT_EQ(whole.at("tokens"), json::array());
    EXPECT_EQ(whole.at("stop"), json::value(true));
    whole = whole_answer(*parse_native(R"({"prompt":"p","return_tokens":true})"),
                         {kNative, kNativeEnd});
    EXPECT_EQ(whole.at("tokens"), json::parse("[5,6]"));
    constexpr std::string_view kOther =
        R"({"index":1,"content":"z","stop":true,"stop_type":"eos"})";
    whole = whole_answer(*parse_native(R"({"prompt":["p","q"]})"), {kOther, kNative, kNativeEnd});
    ASSERT_EQ(whole.as_array().size(), 2U);
    EXPECT_EQ(whole.at(0).at("content"), json::value("ab"));
    EXPECT_EQ(whole.at(1).at("content"), json::value("z"));
}

TEST(OpenAiWriter, GivesOnlyTheFieldsThatWereAskedFor) {
    constexpr std::string_view kFields =
        R"("response_fields":["content","timings/prompt_ms","timings/none","none/x","stop/x","",""])";
    auto call = *parse_infill(format(R"({{"input_prefix":"","input_suffix":"",{}}})", kFields));
    EXPECT_EQ(whole_answer(call, {kNative, kNativeEnd}),
              json::parse(R"({"content":"ab","timings/prompt_ms":1.25})"));
    call.stream = true;
    const auto events = streamed(call, {kNative, kNativeEnd});
    EXPECT_EQ(events[0].at("content"), json::value("ab"));
    EXPECT_EQ(events[1], json::parse(R"({"content":"","timings/prompt_ms":1.25})"));
}

TEST(OpenAiWriter, KeepsASilentStreamAliveWithAComment) {
    std::string out;
    writer_of(chat_call(R"(,"stream":true)"))->alive(out);
    EXPECT_EQ(out, ": \n\n");
    out.clear();
    writer_of(chat_call(""))->alive(out);
    EXPECT_EQ(out, "");
}

TEST(OpenAiWriter, TellsAnErrorInsideTheStreamBehindWhatItHeldBack) {
    const auto writer = writer_of(chat_call(R"(,"stream":true)"));
    std::string out;
    give(*writer, kEnd, out);
    writer->error({.code = Code::Unavailable, .message = "the engine is gone"}, out);
    const auto events = split(out);
    ASSERT_EQ(events.size(), 2U);
    EXPECT_EQ(
        events[1],
        json::parse(
            R"({"error":{"message":"the engine is gone","type":"unavailable_error","param":null,"code":null}})"));
}

TEST(OpenAiWriter, WritesNoNumberThatJsonDoesNotKnowAndNoBrokenText) {
    const auto writer = writer_of(chat_call(R"(,"stream":true)"));
    std::string out;
    const double infinity = std::numeric_limits<double>::infinity();
    ASSERT_TRUE(writer->event({{"a", infinity},
                               {"b", -infinity},
                               {"c", std::numeric_limits<double>::quiet_NaN()},
                               {"d\xFF", "e\xC3"},
                               {"f", 0.1}},
                              out));
    EXPECT_EQ(out,
              "data: {\"a\":null,\"b\":null,\"c\":null,\"d\uFFFD\":\"e\uFFFD\",\"f\":0.1,"
              "\"model\":\"name\"}\n\n");
}

TEST(OpenAiWriter, SurvivesEventsOfAnyShape) {
    for (
        const char* event :
        {"{}", R"({"choices":3})", R"({"choices":[3,{}]})",
         R"({"choices":[{"index":-1,"delta":[],"logprobs":[],"finish_reason":7}]})",
         R"({"choices":[{"index":1e99,"delta":{"tool_calls":[1,{"index":"x","function":2}]}}]})",
         R"({"choices":[{"index":9223372036854775807,"text":1,"logprobs":{"content":[2]}}]})",
         R"({"usage":{"prompt_tokens":-1,"completion_tokens":"x"}})",
         R"({"usage":3,"created":"x"})",
         R"({"stop_type":4,"content":[],"tokens":3,"timings":[],"completion_probabilities":{}})"}) {
        for (const char* more : {"", R"(,"stream":true)",
                                 R"(,"stream":true,"stream_options":{"include_usage":true})"}) {
            for (const auto& call :
                 {chat_call(more), completion_call(more),
                  completion_call(format(R"(,"suffix":"s"{})", more)),
                  *parse_native(
                      format(R"({{"prompt":"p","response_fields":["content/x"]{}}})", more))}) {
                const std::string out = answer_to(call, {event, event});
                if (call.stream) {
                    split(out);
                } else {
                    json::parse(out);
                }
            }
        }
    }
}

}  // namespace
}  // namespace hearth::api::openai
