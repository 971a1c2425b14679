#include "cache/answers.h"

#include <gtest/gtest.h>

#include <thread>

namespace hearth::cache {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;

Key numbered(std::uint64_t number) { return KeyWriter("test").number("n", number).finish(); }

struct AnswersTest : testing::Test {
    metrics::Registry registry;
    Answers answers{{.memory_bytes_max = 1 << 20, .lives = {}}, registry};

    Answers::Making making(std::uint64_t number, Space space = Space::Chat,
                           std::string model = "m") {
        return {.space = space,
                .key = numbered(number),
                .model = std::move(model),
                .tenant = {},
                .life = {},
                .clears = answers.clears()};
    }
    Answers::SpaceStats stats_of(Space space) const {
        return answers.stats().spaces[std::size_t(space)];
    }
};

TEST_F(AnswersTest, FindsWhatWasKept) {
    EXPECT_FALSE(answers.find(Space::Chat, numbered(1)));
    answers.keep(making(1), "an answer", milliseconds(20));
    const auto found = answers.find(Space::Chat, numbered(1));
    ASSERT_TRUE(found);
    EXPECT_EQ(found->entry->payload, "an answer");
    EXPECT_EQ(found->level, "l1");
}

// F32: there, one miss counted three times, and a hit below the first level as two misses.
TEST_F(AnswersTest, ALookUpCountsOnce) {
    (void)answers.find(Space::Chat, numbered(1));
    answers.keep(making(1), "x", milliseconds(20));
    for (int i = 0; i < 3; ++i) (void)answers.find(Space::Chat, numbered(1));
    (void)answers.find(Space::Fim, numbered(2));
    EXPECT_EQ(stats_of(Space::Chat).hits, 3U);
    EXPECT_EQ(stats_of(Space::Chat).misses, 1U);
    EXPECT_EQ(stats_of(Space::Chat).saved, milliseconds(60));
    EXPECT_EQ(stats_of(Space::Chat).entries, 1U);
    EXPECT_EQ(stats_of(Space::Fim).misses, 1U);
    EXPECT_EQ(stats_of(Space::Fim).entries, 0U);
}

// F28: there, the first level took no notice of a call's own time to live.
TEST_F(AnswersTest, ACallsOwnLifeHolds) {
    Answers::Making brief = making(1);
    brief.life = milliseconds(30);
    answers.keep(brief, "x", {});
    answers.keep(making(2), "y", {});
    EXPECT_TRUE(answers.find(Space::Chat, numbered(1)));
    std::this_thread::sleep_for(milliseconds(40));
    EXPECT_FALSE(answers.find(Space::Chat, numbered(1)));
    EXPECT_TRUE(answers.find(Space::Chat, numbered(2)));
}

TEST_F(AnswersTest, ClearsOneKindOneModelOrAll) {
    answers.keep(making(1, Space::Chat, "m"), "x", {});
    answers.keep(making(2, Space::Chat, "n"), "x", {});
    answers.keep(making(3, Space::Embedding, "m"), "x", {});
    EXPECT_EQ(answers.clear({.space = Space::Embedding}), 1U);
    EXPECT_FALSE(answers.find(Space::Embedding, numbered(3)));
    EXPECT_EQ(answers.clear({.model = "n"}), 1U);
    EXPECT_FALSE(answers.find(Space::Chat, numbered(2)));
    EXPECT_TRUE(answers.find(Space::Chat, numbered(1)));
    EXPECT_EQ(answers.clear({}), 1U);
    EXPECT_EQ(answers.stats().memory.entries, 0U);
}

// F28, F38: what is made while a clear passes is not put back by it, and the counts stay.
TEST_F(AnswersTest, AClearOvertakesWhatIsBeingMade) {
    const Answers::Making begun = making(1);
    answers.clear({});
    answers.keep(begun, "old", {});
    EXPECT_FALSE(answers.find(Space::Chat, numbered(1)));
    answers.keep(making(1), "new", {});
    EXPECT_TRUE(answers.find(Space::Chat, numbered(1)));
    answers.clear({});
    EXPECT_EQ(stats_of(Space::Chat).hits, 1U);
    EXPECT_EQ(stats_of(Space::Chat).misses, 1U);
}

TEST_F(AnswersTest, PrunesWhatHasExpired) {
    Answers::Making brief = making(1);
    brief.life = milliseconds(1);
    answers.keep(brief, "x", {});
    answers.keep(making(2), "y", {});
    std::this_thread::sleep_for(milliseconds(5));
    EXPECT_EQ(answers.prune(), 1U);
    EXPECT_EQ(answers.stats().memory.entries, 1U);
}

TEST_F(AnswersTest, MetricsSayWhatItHolds) {
    answers.keep(making(1), "x", {});
    (void)answers.find(Space::Chat, numbered(1));
    const std::string text = registry.expose();
    EXPECT_TRUE(text.contains("hearth_cache_entries{level=\"l1\"} 1"));
    EXPECT_TRUE(text.contains("hearth_cache_hits_total{level=\"l1\",namespace=\"chat\"} 1"));
}

}  // namespace
}  // namespace hearth::cache
