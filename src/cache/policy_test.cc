#include "cache/policy.h"

#include <gtest/gtest.h>

namespace hearth::cache {
namespace {

using std::chrono::seconds;

TEST(PolicyTest, ReadsWhatCallersWish) {
    const auto none = parse_wish("", "");
    ASSERT_TRUE(none);
    EXPECT_EQ(none->mode, Mode::Auto);
    EXPECT_FALSE(none->life);
    const auto both = parse_wish("all", "60");
    ASSERT_TRUE(both);
    EXPECT_EQ(both->mode, Mode::All);
    EXPECT_EQ(both->life, seconds(60));
    for (const auto& [text, mode] :
         {std::pair("auto", Mode::Auto), std::pair("off", Mode::Off),
          std::pair("refresh", Mode::Refresh), std::pair("only", Mode::Only)}) {
        EXPECT_EQ(parse_wish(text, "")->mode, mode);
    }
}

TEST(PolicyTest, SaysWhatIsWrongWithAWish) {
    const auto mode = parse_wish("yes", "");
    ASSERT_FALSE(mode);
    EXPECT_EQ(mode.error().param, "x-hearth-cache");
    EXPECT_EQ(mode.error().message,
              "what the cache is to do is auto, all, off, refresh or only, not \"yes\"");
    for (const char* text : {"0", "-1", "1.5", "1s", " 1", "31536001", "99999999999999999999"}) {
        const auto life = parse_wish("", text);
        ASSERT_FALSE(life) << text;
        EXPECT_EQ(life.error().code, Code::InvalidArgument);
        EXPECT_EQ(life.error().param, "x-hearth-cache-ttl");
    }
    EXPECT_TRUE(parse_wish("", "31536000"));
}

TEST(PolicyTest, EveryNamespaceHasItsNameAndItsLife) {
    const Lives lives;
    for (const Space space : kSpaces) EXPECT_EQ(*parse_space(to_string(space)), space);
    EXPECT_EQ(parse_space("chats").error().code, Code::InvalidArgument);
    EXPECT_EQ(lives.of(Space::Embedding), std::chrono::hours(24));
    EXPECT_EQ(lives.of(Space::Chat), std::chrono::hours(1));
    EXPECT_EQ(lives.of(Space::Completion), std::chrono::hours(1));
    EXPECT_EQ(lives.of(Space::Fim), std::chrono::minutes(5));
}

TEST(PolicyTest, ModesSayWhatMayHappen) {
    EXPECT_TRUE(looks_up(Mode::Auto) && keeps(Mode::Auto));
    EXPECT_TRUE(looks_up(Mode::All) && keeps(Mode::All));
    EXPECT_FALSE(looks_up(Mode::Off) || keeps(Mode::Off));
    EXPECT_TRUE(!looks_up(Mode::Refresh) && keeps(Mode::Refresh));
    EXPECT_TRUE(looks_up(Mode::Only) && !keeps(Mode::Only));
}

}  // namespace
}  // namespace hearth::cache
