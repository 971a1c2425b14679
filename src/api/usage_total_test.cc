#include "api/usage_total.h"

#include <gtest/gtest.h>

#include <boost/json.hpp>

#include "base/format.h"

namespace hearth::api {
namespace {

namespace json = boost::json;

// An event of one choice, or of none, with a usage.
std::string of_choice(int choice, int prompt, int completion) {
    return format(R"({{"choices":[{{"index":{}}}],"usage":{{"prompt_tokens":{},)"
                  R"("completion_tokens":{},"total_tokens":{}}}}})",
                  choice, prompt, completion, prompt + completion);
}
std::string of_none(int prompt, int completion) {
    return format(R"({{"choices":[],"usage":{{"prompt_tokens":{},"completion_tokens":{},)"
                  R"("total_tokens":{}}}}})",
                  prompt, completion, prompt + completion);
}
std::string seen(int choice) { return format(R"({{"choices":[{{"index":{}}}]}})", choice); }

// "PROMPT+COMPLETION=TOTAL"
std::string total_of(const std::vector<std::string>& events, std::int64_t choices_of_prompt = 1) {
    UsageTotal usage;
    for (const std::string& event : events) {
        usage.add(json::parse(event).as_object(), choices_of_prompt);
    }
    if (usage.empty()) return "none";
    const json::object total = usage.total();
    return format("{}+{}={}", total.at("prompt_tokens").as_int64(),
                  total.at("completion_tokens").as_int64(), total.at("total_tokens").as_int64());
}

TEST(UsageTotal, OfOneChoiceTheLastCountHolds) {
    EXPECT_EQ(total_of({seen(0)}), "none");
    EXPECT_EQ(total_of({of_choice(0, 5, 1), of_choice(0, 5, 2), of_choice(0, 5, 3)}), "5+3=8");
    EXPECT_EQ(total_of({of_choice(0, 5, 1), of_choice(0, 5, 2), of_none(5, 2)}), "5+2=7");
    EXPECT_EQ(total_of({seen(0), of_none(5, 1), of_none(5, 2)}), "5+2=7");
}

TEST(UsageTotal, ChoicesAreAddedUpAndAPromptCountedOnce) {
    EXPECT_EQ(total_of({of_choice(0, 5, 1), of_choice(1, 5, 1), of_choice(0, 5, 4)}, 2), "5+5=10");
    EXPECT_EQ(total_of({of_choice(0, 5, 1), of_choice(1, 7, 2)}, 1), "12+3=15");
    EXPECT_EQ(total_of({of_choice(0, 5, 1), of_choice(1, 5, 2), of_choice(2, 7, 1)}, 2), "12+4=16");
    EXPECT_EQ(total_of({seen(0), of_none(5, 3), seen(1), of_none(5, 4)}, 2), "5+7=12");
}

TEST(UsageTotal, WhatIsToldOfAllTakesThePlaceOfWhatWasToldOfEach) {
    EXPECT_EQ(total_of({of_choice(0, 5, 1), of_choice(1, 5, 2), of_none(5, 3)}, 2), "5+3=8");
}

TEST(UsageTotal, AddsNoTokensThatItDoesNotKnow) {
    UsageTotal usage;
    for (const std::int64_t choice : {0, 1}) {
        usage.add({{"choices", json::array{json::object{{"index", choice}}}},
                   {"usage", {{"completion_tokens", 2}}}},
                  2);
    }
    EXPECT_EQ(json::value(usage.total()), json::value({{"completion_tokens", 4}}));
}

TEST(UsageTotal, TheDetailsOfTheLastCountStay) {
    UsageTotal usage;
    usage.add({{"usage", {{"prompt_tokens", 1}}}}, 1);
    const json::object last{{"prompt_tokens", 9},
                            {"completion_tokens_details", {{"reasoning_tokens", 3}}}};
    usage.add({{"usage", last}}, 1);
    EXPECT_EQ(usage.total(), last);
}

}  // namespace
}  // namespace hearth::api
