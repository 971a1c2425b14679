#include <gtest/gtest.h>

#include <boost/json.hpp>

#include "api/ollama_generate.h"
#include "base/format.h"

namespace hearth::api::ollama {
namespace {

namespace json = boost::json;
using std::chrono::nanoseconds;

std::int64_t clock_ns = 0;
// Half a second passes between two looks at the clock.
std::int64_t test_now() { return clock_ns += 500'000'000; }

TextCall chat_call(std::string_view more = "") {
    return *parse_chat(
        format(R"({{"model":"m","messages":[{{"role":"user","content":"x"}}]{}}})", more));
}
TextCall generate_call(std::string_view more = "") {
    return *parse_generate(format(R"({{"model":"m","prompt":"x"{}}})", more));
}

inference::GenerateReply measured() {
    return {.usage = {.prompt_tokens = 5,
                      .cached_tokens = 1,
                      .completion_tokens = 2,
                      .prompt_time = nanoseconds(1000),
                      .completion_time = nanoseconds(2000)},
            .load_time = nanoseconds(30)};
}

std::string answer_to(const TextCall& call, const std::vector<std::string_view>& events,
                      const inference::GenerateReply& reply = measured()) {
    clock_ns = 0;
    const auto writer = make_writer(call, "m", test_now);
    std::string out;
    for (const std::string_view event : events) {
        EXPECT_TRUE(writer->event(json::parse(event).as_object(), out));
    }
    writer->finish(reply, out);
    return out;
}
std::vector<json::value> lines(std::string_view text) {
    std::vector<json::value> out;
    while (!text.empty()) {
        const std::size_t end = text.find('\n');
        EXPECT_NE(end, std::string_view::npos);
        out.push_back(json::parse(text.substr(0, end)));
        text.remove_prefix(end + 1);
    }
    return out;
}

std::string delta(std::string_view content) {
    return format(R"({{"choices":[{{"index":0,"finish_reason":null,"delta":{{{}}}}}]}})", content);
}
constexpr std::string_view kEnd = R"({"choices":[{"index":0,"finish_reason":"stop","delta":{}}]})";

TEST(OllamaWriter, StreamsLinesAndCountsInTheLast) {
    EXPECT_EQ(answer_to(chat_call(), {delta(R"("role":"assistant","content":null)"),
                                      delta(R"("content":"Hé")"), kEnd}),
              R"({"model":"m","created_at":"1970-01-01T00:00:01.000000000Z",)"
              R"("message":{"role":"assistant","content":"Hé"},"done":false})"
              "\n"
              R"({"model":"m","created_at":"1970-01-01T00:00:01.500000000Z",)"
              R"("message":{"role":"assistant","content":""},"done":true,"done_reason":"stop",)"
              R"("total_duration":1500000000,"load_duration":30,"prompt_eval_count":5,)"
              R"("prompt_eval_duration":1000,"eval_count":2,"eval_duration":2000})"
              "\n");
}

TEST(OllamaWriter, LeavesOutWhatIsNotKnown) {
    const auto last = lines(answer_to(generate_call(), {kEnd}, {})).back();
    for (const char* name :
         {"prompt_eval_count", "prompt_eval_duration", "eval_count", "eval_duration"}) {
        EXPECT_FALSE(last.as_object().contains(name)) << name;
    }
    EXPECT_EQ(last.at("response"), json::value(""));
    EXPECT_EQ(last.at("done"), json::value(true));
}

TEST(OllamaWriter, AnswersWholeWithoutALineEnd) {
    const std::string out = answer_to(
        generate_call(R"(,"stream":false)"),
        {delta(R"("reasoning_content":"hm")"), delta(R"("content":"a")"), delta(R"("content":"b")"),
         R"({"choices":[{"index":0,"finish_reason":"length","delta":{}}]})"});
    EXPECT_EQ(out.back(), '}');
    const json::value answer = json::parse(out);
    EXPECT_EQ(answer.at("response"), json::value("ab"));
    EXPECT_EQ(answer.at("thinking"), json::value("hm"));
    EXPECT_EQ(answer.at("done_reason"), json::value("length"));
}

TEST(OllamaWriter, HidesThinkingFromACallerWhoWantsNone) {
    const auto out = lines(
        answer_to(chat_call(R"(,"think":false)"), {delta(R"("reasoning_content":"hm")"), kEnd}));
    ASSERT_EQ(out.size(), 1U);
    EXPECT_FALSE(out[0].at("message").as_object().contains("thinking"));
    const auto told = lines(answer_to(chat_call(), {delta(R"("reasoning_content":"hm")"), kEnd}));
    ASSERT_EQ(told.size(), 2U);
    EXPECT_EQ(told[0].at("message"),
              json::parse(R"({"role":"assistant","content":"","thinking":"hm"})"));
}

TEST(OllamaWriter, TellsToolCallsWhenTheyAreWhole) {
    const std::vector<std::string> events = {
        delta(
            R"("tool_calls":[{"index":0,"id":"a","function":{"name":"f","arguments":"{\"x\":"}}])"),
        delta(R"("tool_calls":[{"index":1,"id":"b","function":{"name":"g","arguments":"[1"}}])"),
        delta(R"("tool_calls":[{"index":0,"function":{"arguments":"1.5}"}}])"),
        R"({"choices":[{"index":0,"finish_reason":"tool_calls","delta":{}}]})"};
    const std::vector<std::string_view> views(events.begin(), events.end());
    const json::value calls = json::parse(
        R"([{"id":"a","function":{"index":0,"name":"f","arguments":{"x":1.5}}},
            {"id":"b","function":{"index":1,"name":"g","arguments":{}}}])");
    const auto out = lines(answer_to(chat_call(), views));
    ASSERT_EQ(out.size(), 2U);
    EXPECT_EQ(out[0].at("message").at("tool_calls"), calls);
    EXPECT_EQ(out[0].at("done"), json::value(false));
    EXPECT_FALSE(out[1].at("message").as_object().contains("tool_calls"));
    EXPECT_EQ(out[1].at("done_reason"), json::value("stop"));
    const json::value whole = json::parse(answer_to(chat_call(R"(,"stream":false)"), views));
    EXPECT_EQ(whole.at("message").at("tool_calls"), calls);
}

TEST(OllamaWriter, TellsProbabilitiesInItsOwnWords) {
    constexpr std::string_view kProbs =
        R"({"choices":[{"index":0,"delta":{"content":"a"},"logprobs":{"content":[{"id":7,"token":"a","bytes":[97],"logprob":-0.5,"top_logprobs":[{"id":7,"token":"a","logprob":-0.5},{"id":8,"token":"b","logprob":-2}]}]}}]})";
    auto out = lines(answer_to(chat_call(R"(,"logprobs":true,"top_logprobs":1)"), {kProbs}));
    EXPECT_EQ(
        out[0].at("logprobs"),
        json::parse(
            R"([{"token":"a","bytes":[97],"logprob":-0.5,"top_logprobs":[{"token":"a","logprob":-0.5}]}])"));
    out = lines(answer_to(chat_call(R"(,"logprobs":true)"), {kProbs}));
    EXPECT_EQ(out[0].at("logprobs"), json::parse(R"([{"token":"a","bytes":[97],"logprob":-0.5}])"));
    out = lines(answer_to(
        generate_call(R"(,"suffix":"s","logprobs":true)"),
        {R"({"content":"x","completion_probabilities":[{"id":1,"token":"x","logprob":-1}]})"}));
    EXPECT_EQ(out[0].at("logprobs"), json::parse(R"([{"token":"x","logprob":-1}])"));
}

TEST(OllamaWriter, ReadsTheWordsOfEveryOperation) {
    auto out =
        lines(answer_to(generate_call(R"(,"raw":true)"),
                        {R"({"choices":[{"index":0,"text":"a","finish_reason":null}]})",
                         R"({"choices":[{"index":0,"text":"","finish_reason":"length"}]})"}));
    EXPECT_EQ(out[0].at("response"), json::value("a"));
    EXPECT_EQ(out[1].at("done_reason"), json::value("length"));
    out = lines(
        answer_to(generate_call(R"(,"suffix":"s")"),
                  {R"({"content":"b","stop":false})", R"({"content":"","stop_type":"limit"})"}));
    EXPECT_EQ(out[0].at("response"), json::value("b"));
    EXPECT_EQ(out[1].at("done_reason"), json::value("length"));
}

TEST(OllamaWriter, TellsAnErrorAsTheLastLine) {
    const auto writer = make_writer(chat_call(), "m", test_now);
    std::string out;
    writer->error({.code = Code::Unavailable, .message = "the engine is \"gone\""}, out);
    EXPECT_EQ(out, "{\"error\":\"the engine is \\\"gone\\\"\"}\n");
    out.clear();
    writer->alive(out);
    EXPECT_EQ(out, "");
    EXPECT_EQ(writer->content_type(), "application/x-ndjson");
    EXPECT_EQ(make_writer(chat_call(R"(,"stream":false)"), "m", test_now)->content_type(),
              "application/json");
}

TEST(OllamaWriter, KeepsNoMoreThanItsBound) {
    const std::string mebibyte(1 << 20, 'x');
    const auto refused_at = [](const TextCall& call, const std::string& event) {
        const auto writer = make_writer(call, "m", test_now);
        std::string out;
        for (int count = 1; count <= 100; ++count) {
            const auto said = writer->event(json::parse(event).as_object(), out);
            out.clear();
            if (said) continue;
            EXPECT_EQ(said.error().code, Code::TooLarge);
            return count;
        }
        return 0;
    };
    const std::string text = delta(format(R"("content":"{}")", mebibyte));
    const std::string call =
        delta(format(R"("tool_calls":[{{"index":0,"function":{{"arguments":"{}"}}}}])", mebibyte));
    EXPECT_EQ(refused_at(chat_call(R"(,"stream":false)"), text), 65);
    EXPECT_EQ(refused_at(chat_call(), text), 0);
    EXPECT_EQ(refused_at(chat_call(), call), 64);  // with what holds it
}

TEST(OllamaWriter, WritesOnlyWhatJsonKnows) {
    clock_ns = 0;
    const auto writer = make_writer(chat_call(R"(,"logprobs":true)"), "m\xFF", test_now);
    std::string out;
    json::object token{{"token", "a\xC3"}, {"logprob", -std::numeric_limits<double>::infinity()}};
    json::object probs{{"content", json::array(1, json::value(token))}};
    json::object choice{{"delta", {{"content", "b\xFF"}}}, {"logprobs", probs}};
    ASSERT_TRUE(writer->event({{"choices", json::array(1, json::value(choice))}}, out));
    const json::value line = json::parse(out);
    EXPECT_EQ(line.at("model"), json::value("m\uFFFD"));
    EXPECT_EQ(line.at("message").at("content"), json::value("b\uFFFD"));
    EXPECT_TRUE(line.at("logprobs").at(0).at("logprob").is_null());
}

TEST(OllamaWriter, SurvivesEventsOfAnyShape) {
    for (
        const char* event :
        {"{}", R"({"choices":3})", R"({"choices":[3,{}]})",
         R"({"choices":[{"index":-1,"delta":[],"logprobs":[],"finish_reason":7}]})",
         R"({"choices":[{"delta":{"tool_calls":[1,{"index":"x","id":3,"function":2},{"index":-5,"function":{"name":1,"arguments":{}}}]}}]})",
         R"({"choices":[{"text":1,"logprobs":{"content":[2,{"top_logprobs":3},{"top_logprobs":[4]}]}}]})",
         R"({"stop_type":4,"content":[],"completion_probabilities":{}})"}) {
        for (const auto& call : {chat_call(), generate_call(R"(,"raw":true,"logprobs":true)"),
                                 generate_call(R"(,"suffix":"s")")}) {
            EXPECT_FALSE(lines(answer_to(call, {event, event})).empty());
        }
    }
}

TEST(OllamaWriter, AnswersCallsThatOnlyLoadOrUnload) {
    const auto shown = [](std::string_view body, Result<TextCall> (*parse)(std::string_view)) {
        clock_ns = 0;
        return encode_loaded(*parse(body), "m", nanoseconds(12), test_now).body;
    };
    EXPECT_EQ(shown(R"({"model":"m"})", parse_generate),
              R"({"model":"m","created_at":"1970-01-01T00:00:00.500000000Z","response":"",)"
              R"("done":true,"done_reason":"load","total_duration":12,"load_duration":12})"
              "\n");
    EXPECT_EQ(shown(R"({"model":"m","keep_alive":0,"stream":false})", parse_chat),
              R"({"model":"m","created_at":"1970-01-01T00:00:00.500000000Z",)"
              R"("message":{"role":"assistant","content":""},)"
              R"("done":true,"done_reason":"unload"})");
    const auto load = *parse_generate(R"({"model":"m","keep_alive":"0s"})");
    EXPECT_EQ(encode_loaded(load, "m", nanoseconds(1), test_now).content_type,
              "application/x-ndjson");
    EXPECT_EQ(
        json::parse(encode_loaded(load, "m", nanoseconds(1), test_now).body).at("done_reason"),
        json::value("unload"));
}

}  // namespace
}  // namespace hearth::api::ollama
