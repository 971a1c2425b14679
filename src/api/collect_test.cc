#include "api/collect.h"

#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <string>

#include "base/format.h"

namespace hearth::api {
namespace {

namespace json = boost::json;
using inference::Operation;

json::object event(std::string_view text) { return json::parse(text).as_object(); }

json::value collected(Operation operation, const std::vector<std::string_view>& events) {
    Collector collector(operation);
    for (const std::string_view one : events) EXPECT_TRUE(collector.add(event(one)));
    return collector.finish();
}

TEST(Collector, CompletesToolCallsThatComeInPiecesAndInAnyOrder) {
    const auto answer = collected(
        Operation::Chat,
        {R"({"choices":[{"index":0,"delta":{"tool_calls":[{"index":1,"id":"b","type":"function","function":{"name":"g","arguments":"{"}}]}}]})",
         R"({"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"a","type":"function","function":{"name":"f","arguments":""}}]}}]})",
         R"({"choices":[{"index":0,"delta":{"tool_calls":[{"index":1,"function":{"arguments":"}"}},{"index":0,"function":{"arguments":"[]"}}]}}]})",
         R"({"choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}]})"});
    EXPECT_EQ(answer.at("choices").at(0).at("message"),
              json::parse(
                  R"({"role":"assistant","content":null,"tool_calls":[
                {"id":"a","type":"function","function":{"name":"f","arguments":"[]"}},
                {"id":"b","type":"function","function":{"name":"g","arguments":"{}"}}]})"));
}

// As a backend makes them that translates the words of another server.
TEST(Collector, NumbersWithoutASignAreNumbersToo) {
    Collector collector(Operation::Chat);
    for (const std::size_t index : {0U, 1U}) {
        const json::object call{
            {"index", index},
            {"function", {{"name", index == 0 ? "f" : "g"}, {"arguments", "{}"}}}};
        const json::object delta{{"tool_calls", json::array{call}}};
        EXPECT_TRUE(collector.add(
            {{"choices", json::array{json::object{{"index", std::size_t{0}}, {"delta", delta}}}}}));
    }
    const json::value answer = collector.finish();
    const json::value& calls = answer.at("choices").at(0).at("message").at("tool_calls");
    ASSERT_EQ(calls.as_array().size(), 2U) << json::serialize(answer);
    EXPECT_EQ(calls.at(0).at("function").at("name"), json::value("f"));
    EXPECT_EQ(calls.at(1).at("function").at("arguments"), json::value("{}"));
}

TEST(Collector, KeepsTheSignatureOfTheReasoning) {
    const std::string_view reasoning =
        R"({"choices":[{"index":0,"delta":{"reasoning_content":"hm"}}]})";
    const std::string_view signature =
        R"({"choices":[{"index":0,"delta":{"reasoning_signature":"c2ln"}}]})";
    const auto message = [](const std::vector<std::string_view>& events) {
        return collected(Operation::Chat, events).at("choices").at(0).at("message").as_object();
    };
    EXPECT_EQ(message({reasoning, signature}).at("reasoning_signature"), json::value("c2ln"));
    EXPECT_FALSE(
        message({reasoning, signature, reasoning, signature}).contains("reasoning_signature"))
        << "no signature holds for both";
}

TEST(Collector, KeepsTheReasoningApart) {
    const auto answer = collected(
        Operation::Chat, {R"({"choices":[{"index":0,"delta":{"reasoning_content":"hm"}}]})",
                          R"({"choices":[{"index":0,"delta":{"reasoning_content":"m"}}]})",
                          R"({"choices":[{"index":0,"delta":{"content":"yes"}}]})"});
    EXPECT_EQ(answer.at("choices").at(0).at("message"),
              json::parse(R"({"role":"assistant","content":"yes","reasoning_content":"hmm"})"));
}

// An answer that is cut off: what the engine's parser had held back comes with the end, or after
// it.
TEST(Collector, KeepsWhatComesWithTheEndAndAfterIt) {
    const auto answer = collected(
        Operation::Chat,
        {R"({"choices":[{"index":0,"delta":{"content":"{\"a\""}}]})",
         R"({"choices":[{"index":0,"delta":{"content":": 1","reasoning_content":"r","tool_calls":[{"index":0,"id":"a","function":{"name":"f","arguments":"{"}}]},"finish_reason":"length"}]})",
         R"({"choices":[{"index":0,"delta":{"content":"0","tool_calls":[{"index":0,"function":{"arguments":"1"}}]}}]})"});
    const json::value& choice = answer.at("choices").at(0);
    EXPECT_EQ(choice.at("finish_reason"), json::value("length"));
    EXPECT_EQ(choice.at("message").at("content"), json::value("{\"a\": 10"));
    EXPECT_EQ(choice.at("message").at("reasoning_content"), json::value("r"));
    EXPECT_EQ(choice.at("message").at("tool_calls").at(0).at("function").at("arguments"),
              json::value("{1"));
}

TEST(Collector, AnEmptyAnswerIsAnEmptyText) {
    const auto answer = collected(
        Operation::Chat, {R"({"choices":[{"index":0,"delta":{},"finish_reason":"length"}]})"});
    EXPECT_EQ(answer.at("choices").at(0).at("message").at("content"), json::value(""));
    EXPECT_EQ(collected(Operation::Completion, {}), json::parse(R"({"choices":[]})"));
    EXPECT_EQ(collected(Operation::Native, {}), json::array());
}

TEST(Collector, OrdersChoicesByTheirNumber) {
    const auto answer = collected(
        Operation::Completion,
        {R"({"choices":[{"index":2,"text":"c"}]})", R"({"choices":[{"index":0,"text":"a"}]})",
         R"({"choices":[{"index":2,"text":"c"},{"index":1,"text":"b"}]})"});
    const json::array& choices = answer.at("choices").as_array();
    ASSERT_EQ(choices.size(), 3U);
    EXPECT_EQ(choices[0].at("text"), json::value("a"));
    EXPECT_EQ(choices[1].at("text"), json::value("b"));
    EXPECT_EQ(choices[2].at("text"), json::value("cc"));
    EXPECT_EQ(choices[2].at("index"), json::value(2));
}

TEST(Collector, ListsTheProbabilitiesOfAllEvents) {
    const auto answer = collected(
        Operation::Chat,
        {R"({"choices":[{"index":0,"delta":{"content":"a"},"logprobs":{"content":[{"token":"a"}]}}]})",
         R"({"choices":[{"index":0,"delta":{"content":"b"},"logprobs":{"content":[{"token":"b"}]}}]})"});
    EXPECT_EQ(answer.at("choices").at(0).at("logprobs"),
              json::parse(R"({"content":[{"token":"a"},{"token":"b"}]})"));
    const auto native =
        collected(Operation::Native, {R"({"content":"a","completion_probabilities":[{"id":1}]})",
                                      R"({"content":"b","completion_probabilities":[{"id":2}]})",
                                      R"({"stop_type":"eos"})"});
    EXPECT_EQ(native.at("completion_probabilities"), json::parse(R"([{"id":1},{"id":2}])"));
}

TEST(Collector, TakesTheRestFromTheLastEvent) {
    const auto answer =
        collected(Operation::Native, {R"({"content":"a","stop":false,"tokens":[1]})",
                                      R"({"content":"b","stop":true,"stop_type":"word","x":1})",
                                      R"({"content":"","stop":false})"});
    EXPECT_EQ(answer,
              json::parse(R"({"content":"ab","stop":true,"stop_type":"word","x":1,"tokens":[1]})"));
}

TEST(Collector, TakesANumberThatNoChoiceHasForTheFirst) {
    for (const char* index : {"-1", "262144", "1.5", "\"1\"", "18446744073709551615"}) {
        Collector collector(Operation::Completion);
        ASSERT_TRUE(
            collector.add(event(format(R"({{"choices":[{{"index":{},"text":"x"}}]}})", index))));
        EXPECT_EQ(collector.finish().at("choices").at(0).at("index"), json::value(0)) << index;
    }
    Collector collector(Operation::Completion);
    ASSERT_TRUE(collector.add(event(R"({"choices":[{"index":262143,"text":"x"}]})")));
    EXPECT_EQ(collector.finish().at("choices").at(0).at("index"), json::value(262143));
}

// How many equal events until the bound.
std::size_t events_until_refusal(Operation operation, const json::object& one) {
    Collector collector(operation);
    for (std::size_t count = 1; count <= 100; ++count) {
        const auto added = collector.add(one);
        if (added) continue;
        EXPECT_EQ(added.error().code, Code::TooLarge);
        EXPECT_EQ(added.error().message,
                  "the answer is over 67108864 bytes; ask for it as a stream");
        return count;
    }
    return 0;
}

TEST(Collector, RefusesAnswersOverItsBoundWhateverTheyConsistOf) {
    const std::string mebibyte(1 << 20, 'x');
    const auto chat = [&](json::object delta) {
        json::object choice{{"index", 0}, {"delta", std::move(delta)}};
        return json::object{{"choices", json::array(1, json::value(std::move(choice)))}};
    };
    // What stands beside the texts counts a little.
    EXPECT_EQ(events_until_refusal(Operation::Chat, chat({{"content", mebibyte}})), 64U);
    EXPECT_EQ(events_until_refusal(Operation::Chat, chat({{"reasoning_content", mebibyte}})), 64U);
    json::object call{{"index", 0}, {"function", {{"arguments", mebibyte}}}};
    EXPECT_EQ(events_until_refusal(Operation::Chat,
                                   chat({{"tool_calls", json::array(1, json::value(call))}})),
              64U);
    EXPECT_EQ(events_until_refusal(Operation::Native, {{"content", mebibyte}}), 64U);
    EXPECT_EQ(events_until_refusal(Operation::Native, {{"completion_probabilities",
                                                        json::array(1, json::value(mebibyte))}}),
              64U);
    constexpr std::size_t kTokens = (1 << 20) / sizeof(json::value) + 1;
    const json::object tokens{{"tokens", json::array(kTokens, json::value(1))}};
    EXPECT_EQ(events_until_refusal(Operation::Native, tokens), 64U);
}

}  // namespace
}  // namespace hearth::api
