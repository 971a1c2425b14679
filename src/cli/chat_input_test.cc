#include "cli/chat_input.h"

#include <gtest/gtest.h>

namespace hearth::cli {
namespace {

// The command in `text`, which must be one.
SlashCommand command(std::string_view text) {
    const auto parsed = parse_slash(text);
    EXPECT_TRUE(parsed && *parsed) << text;
    return parsed && *parsed ? **parsed : SlashCommand{};
}

void expect_refused(std::string_view text) {
    const auto parsed = parse_slash(text);
    ASSERT_FALSE(parsed) << text;
    EXPECT_EQ(parsed.error().code, Code::InvalidArgument);
    EXPECT_FALSE(parsed.error().message.empty());
}

TEST(ParseSlash, KnowsEveryCommand) {
    EXPECT_EQ(command("/help").verb, Verb::Help);
    EXPECT_EQ(command("/?").verb, Verb::Help);
    EXPECT_EQ(command("/show").verb, Verb::Show);
    EXPECT_EQ(command("  /clear  ").verb, Verb::Clear);
    EXPECT_EQ(command("/bye").verb, Verb::Bye);
    EXPECT_EQ(command("/exit").verb, Verb::Bye);
    EXPECT_EQ(command("/load qwen3:0.6b").value, "qwen3:0.6b");
    EXPECT_EQ(command("/save my chat.json").value, "my chat.json");
    EXPECT_EQ(command("/image a\\ b.png").value, "a\\ b.png");
}

TEST(ParseSlash, SetsWhatFollows) {
    const SlashCommand system = command("/set system  You are brief.\nVery. ");
    EXPECT_EQ(system.verb, Verb::SetSystem);
    EXPECT_EQ(system.value, "You are brief.\nVery.");
    EXPECT_EQ(command("/set system").value, "");
    const SlashCommand parameter = command("/set parameter stop  a b ");
    EXPECT_EQ(parameter.verb, Verb::SetParameter);
    EXPECT_EQ(parameter.name, "stop");
    EXPECT_EQ(parameter.value, "a b");
    EXPECT_EQ(command("/set think").value, "true");
    EXPECT_EQ(command("/set think high").value, "high");
    EXPECT_EQ(command("/set nothink").value, "false");
}

TEST(ParseSlash, RefusesWhatItDoesNotKnow) {
    for (const char* text : {"/", "/foo", "/set", "/set nothing", "/set parameter",
                             "/set think yes", "/set parameter seed", "/load", "/save", "/image",
                             "/bye now", "/set nothink now", "/set systematic text"}) {
        expect_refused(text);
    }
}

TEST(ParseSlash, LeavesMessagesAndPathsAlone) {
    for (const char* text : {"", "hello", "a /bye", "/etc/hosts has which lines?", "/photo.jpg"}) {
        const auto parsed = parse_slash(text);
        ASSERT_TRUE(parsed) << text;
        EXPECT_FALSE(*parsed) << text;
    }
}

TEST(SlashHelp, NamesEveryCommand) {
    for (const char* word : {"/set system", "/set parameter", "/set think", "/set nothink", "/show",
                             "/clear", "/load", "/save", "/image", "/bye"}) {
        EXPECT_TRUE(slash_help().contains(word)) << word;
    }
}

// The entry after the last of `lines`; nullopt while one is missing.
std::optional<Entry> collect(LineCollector& collector, std::initializer_list<const char*> lines) {
    std::optional<Entry> entry;
    for (const char* line : lines) {
        EXPECT_FALSE(entry) << "before " << line;
        auto fed = collector.feed(line);
        EXPECT_TRUE(fed);
        if (fed) entry = *std::move(fed);
    }
    return entry;
}

TEST(LineCollector, TakesALineAsItIs) {
    LineCollector collector;
    const auto entry = collect(collector, {"  a line \"\"\" with marks inside"});
    ASSERT_TRUE(entry);
    EXPECT_EQ(entry->text, "  a line \"\"\" with marks inside");
    EXPECT_FALSE(entry->quoted);
    EXPECT_EQ(collect(collector, {""})->text, "");
}

TEST(LineCollector, JoinsWhatStandsBetweenTheMarks) {
    LineCollector collector;
    const auto entry = collect(collector, {"\"\"\"", "first", "", "  /bye", "\"\"\""});
    ASSERT_TRUE(entry);
    EXPECT_EQ(entry->text, "first\n\n  /bye");
    EXPECT_TRUE(entry->quoted);
    EXPECT_FALSE(collector.open());
    EXPECT_EQ(collect(collector, {"\"\"\"one\"\"\" "})->text, "one");
    EXPECT_EQ(collect(collector, {"\"\"\"one", "two\"\"\""})->text, "one\ntwo");
    EXPECT_EQ(collect(collector, {"\"\"\"\"\"\""})->text, "");
}

TEST(LineCollector, SpansTheSystemText) {
    LineCollector collector;
    const auto entry = collect(collector, {"/set system \"\"\"Be brief.", "Be kind.\"\"\""});
    ASSERT_TRUE(entry);
    EXPECT_FALSE(entry->quoted);
    const SlashCommand set = command(entry->text);
    EXPECT_EQ(set.verb, Verb::SetSystem);
    EXPECT_EQ(set.value, "Be brief.\nBe kind.");
}

TEST(LineCollector, BeginsAnewWhenReset) {
    LineCollector collector;
    EXPECT_FALSE(collect(collector, {"\"\"\"half"}));
    EXPECT_TRUE(collector.open());
    collector.reset();
    EXPECT_EQ(collect(collector, {"whole"})->text, "whole");
}

TEST(LineCollector, RefusesAMessageOverItsBound) {
    LineCollector collector;
    const std::string line(LineCollector::kBytesMax / 2 - 1, 'a');
    EXPECT_TRUE(collector.feed("\"\"\"" + line));
    EXPECT_TRUE(collector.feed(line));
    const auto over = collector.feed("a");
    ASSERT_FALSE(over);
    EXPECT_EQ(over.error().code, Code::TooLarge);
    EXPECT_FALSE(collector.open());
}

}  // namespace
}  // namespace hearth::cli
