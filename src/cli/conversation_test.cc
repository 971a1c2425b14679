#include "cli/conversation.h"

#include <gtest/gtest.h>

#include <boost/json.hpp>

#include "cli/chat.h"

namespace hearth::cli {
namespace {

namespace json = boost::json;

TEST(Conversation, SendsWhatIsSetAndNothingElse) {
    Conversation chat;
    chat.settings.model = "m";
    chat.say("Hi", {});
    EXPECT_EQ(json::parse(chat.request(true)),
              (json::value{{"model", "m"},
                           {"messages", json::array{{{"role", "user"}, {"content", "Hi"}}}},
                           {"stream", true}}));
    EXPECT_EQ(json::parse(chat.load_request()),
              (json::value{{"model", "m"}, {"messages", json::array()}}));
    chat.settings.system = "Be brief.";
    chat.settings.options = {{"num_ctx", 512}};
    chat.settings.think = false;
    chat.settings.keep_alive = "1m";
    chat.settings.format = "json";
    const json::value body = json::parse(chat.request(false));
    EXPECT_EQ(body.at("messages").at(0).at("role"), "system");
    EXPECT_EQ(body.at("options").at("num_ctx"), 512);
    EXPECT_EQ(body.at("think"), json::value(false));
    EXPECT_EQ(body.at("keep_alive"), "1m");
    EXPECT_EQ(body.at("format"), "json");
    EXPECT_EQ(json::parse(chat.load_request()).at("options").at("num_ctx"), 512);
}

TEST(Conversation, KeepsAnswersAndTakesBackQuestions) {
    Conversation chat;
    chat.say("One?", {"aW1n"});
    chat.hear("Yes.", "Hm.");
    chat.say("Two?", {});
    chat.hear("", "");
    EXPECT_EQ(chat.size(), 2U);
    const json::value saved = chat.saved();
    EXPECT_EQ(saved.at("messages").at(0).at("images").at(0), "aW1n");
    EXPECT_EQ(saved.at("messages").at(1),
              (json::value{{"role", "assistant"}, {"content", "Yes."}, {"thinking", "Hm."}}));
    chat.clear();
    chat.take_back();
    EXPECT_EQ(chat.size(), 0U);
}

TEST(Conversation, RepairsIllFormedText) {
    Conversation chat;
    chat.settings.model = "m\xFF";
    chat.say("a\xFF", {});
    boost::system::error_code failed;
    json::parse(chat.request(true), failed);
    EXPECT_FALSE(failed);
}

TEST(PrintDuration, IsWrittenAsOllamaDoes) {
    EXPECT_EQ(print_duration(0), "0ns");
    EXPECT_EQ(print_duration(999), "999ns");
    EXPECT_EQ(print_duration(1'500), "1.5\xC2\xB5s");
    EXPECT_EQ(print_duration(230'000'000), "230ms");
    EXPECT_EQ(print_duration(1'234'567'890), "1.235s");
    EXPECT_EQ(print_duration(62'250'000'000), "1m2.25s");
    EXPECT_EQ(print_duration(3'600'000'000'000), "1h0m0s");
}

TEST(PrintMetrics, ShowsRatesOfWhatWasCounted) {
    const std::string rows = print_metrics({{"total_duration", 2'000'000'000},
                                            {"prompt_eval_count", 10},
                                            {"prompt_eval_duration", 100'000'000},
                                            {"eval_count", 30},
                                            {"eval_duration", 1'500'000'000}});
    EXPECT_EQ(rows,
              "total duration:       2s\n"
              "prompt eval count:    10 token(s)\n"
              "prompt eval duration: 100ms\n"
              "prompt eval rate:     100.00 tokens/s\n"
              "eval count:           30 token(s)\n"
              "eval duration:        1.5s\n"
              "eval rate:            20.00 tokens/s\n");
    EXPECT_EQ(print_metrics({{"total_duration", "x"}, {"eval_count", -1}}), "");
}

}  // namespace
}  // namespace hearth::cli
