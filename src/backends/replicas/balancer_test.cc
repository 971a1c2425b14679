#include "backends/replicas/balancer.h"

#include <gtest/gtest.h>

#include <array>
#include <random>
#include <string>
#include <vector>

namespace hearth::replicas {
namespace {

using namespace std::chrono_literals;
using Clock = Balancer::Clock;

class BalancerTest : public testing::Test {
  protected:
    std::size_t choose(std::string_view prompt = "") {
        Work work{.prompt = {}, .tokens = tokens_};
        work.prompt.add(prompt);
        return balancer_.choose(standings_, work, now_).value_or(99);
    }
    std::array<int, 3> choose_many(int count) {
        std::array<int, 3> counts{};
        for (int i = 0; i < count; ++i) ++counts.at(choose());
        return counts;
    }
    void succeed(std::size_t replica, std::chrono::nanoseconds first_token, int times) {
        for (int i = 0; i < times; ++i) balancer_.succeeded(replica, first_token, now_, now_);
    }

    Clock::time_point now_{1'000s};
    std::int64_t tokens_ = 0;  // of the next calls
    std::vector<Standing> standings_{3};
    Balancer balancer_{3, {}};
};

TEST_F(BalancerTest, EqualsTakeTurns) { EXPECT_EQ(choose_many(300), (std::array{100, 100, 100})); }

TEST_F(BalancerTest, WhoIsAskedBesideTakesNoTurn) {
    standings_.pop_back();
    Balancer pair{2, {}};
    std::array<int, 2> first{};
    for (int i = 0; i < 100; ++i) {
        const std::size_t chosen = pair.choose(standings_, {}, now_).value_or(99);
        ++first.at(chosen);
        std::vector<Standing> others = standings_;
        others[chosen].usable = false;
        EXPECT_EQ(pair.choose_beside(others, {}, now_), 1 - chosen);
    }
    EXPECT_EQ(first, (std::array{50, 50}));
    EXPECT_EQ(pair.choose_beside(std::vector<Standing>(2, {.usable = false}), {}, now_),
              std::nullopt);
}

TEST_F(BalancerTest, TurnsFollowTheWeights) {
    standings_[0].weight = 3;
    standings_[1].weight = 2;
    const auto counts = choose_many(600);
    EXPECT_NEAR(counts[0], 300, 6);
    EXPECT_NEAR(counts[1], 200, 6);
    EXPECT_NEAR(counts[2], 100, 6);
}

TEST_F(BalancerTest, LeastWorkForItsWeightComesFirst) {
    standings_[0].outstanding = 500;
    standings_[1].outstanding = 900;
    standings_[1].weight = 3;
    standings_[2].outstanding = 400;
    EXPECT_EQ(choose(), 1U) << "300 for each of its weight";
}

// Calls end in any order. Some numbers of them cannot be divided as the weights are, so that even
// the best choice strays a little; the least work alone strays by 40 %.
TEST_F(BalancerTest, SharesFollowTheWeightsAlsoUnderLoad) {
    tokens_ = 100;
    for (const std::size_t callers : {1, 4, 6, 7, 8, 12, 24}) {
        standings_ = {{.weight = 1}, {.weight = 2}, {.weight = 3}};
        std::array<int, 3> counts{};
        std::vector<std::size_t> under_way;  // whoever has a call, in the order of their ends
        std::minstd_rand random(1);
        for (int i = 0; i < 6'000; ++i) {
            if (under_way.size() == callers) {
                const std::size_t ended = random() % callers;
                standings_[under_way[ended]].outstanding -= tokens_;
                under_way.erase(under_way.begin() + static_cast<std::ptrdiff_t>(ended));
            }
            under_way.push_back(choose());
            standings_[under_way.back()].outstanding += tokens_;
            ++counts.at(under_way.back());
        }
        for (const std::size_t replica : {0, 1, 2}) {
            const double due = 1'000 * standings_[replica].weight;
            EXPECT_NEAR(counts.at(replica), due, 0.1 * due) << replica << " of " << callers;
        }
    }
}

TEST_F(BalancerTest, OneThatIsSlowerThanItsWeightGetsLess) {
    tokens_ = 100;
    standings_[2].outstanding = 10 * tokens_;
    EXPECT_EQ(choose_many(30)[2], 0);
}

TEST_F(BalancerTest, OneThatIsNotUsableIsLeftOut) {
    standings_[0].usable = false;
    standings_[2].usable = false;
    EXPECT_EQ(choose_many(10), (std::array{0, 10, 0}));
    standings_[1].usable = false;
    EXPECT_EQ(choose(), 99U);
}

TEST_F(BalancerTest, OneThatWasAwayDoesNotGetAllItMissed) {
    standings_[0].usable = false;
    choose_many(1'000);
    standings_[0].usable = true;
    EXPECT_LE(choose_many(30)[0], 12);
}

TEST_F(BalancerTest, APromptGoesWhereItsBeginningWas) {
    const std::string prompt(8 * PrefixChain::kBlockBytes, 'p');
    const std::size_t first = choose(prompt);
    for (int i = 0; i < 6; ++i) EXPECT_EQ(choose(prompt + "more"), first);
}

TEST_F(BalancerTest, NotWhenThatHasMuchMoreToDo) {
    const std::string prompt(8 * PrefixChain::kBlockBytes, 'p');  // 512 tokens
    const std::size_t first = choose(prompt);
    standings_[first].outstanding = 400;
    EXPECT_EQ(choose(prompt), first);
    standings_[first].outstanding = 600;
    EXPECT_NE(choose(prompt), first);
}

TEST_F(BalancerTest, OneThatFailsFarMoreThanTheOthersIsLeftOutForAWhile) {
    succeed(0, 10ms, 20);
    succeed(1, 10ms, 20);
    for (int i = 0; i < 20; ++i) balancer_.failed(2, now_, now_);
    EXPECT_TRUE(balancer_.ejected(2, now_));
    EXPECT_EQ(choose_many(20)[2], 0);
    now_ += 31s;
    EXPECT_FALSE(balancer_.ejected(2, now_));
    EXPECT_GT(choose_many(20)[2], 0);
}

TEST_F(BalancerTest, CallsFromBeforeItWasLeftOutSayNothingAfterwards) {
    succeed(0, 10ms, 20);
    succeed(1, 10ms, 20);
    const Clock::time_point begun = now_;
    for (int i = 0; i < 20; ++i) balancer_.failed(2, now_, now_);
    ASSERT_TRUE(balancer_.ejected(2, now_));
    for (int i = 0; i < 20; ++i) balancer_.succeeded(2, 14s, begun, now_ + 14s);
    now_ += 31s;
    for (int i = 0; i < 20; ++i) balancer_.failed(2, begun, now_);
    succeed(2, 10ms, 20);
    EXPECT_FALSE(balancer_.ejected(2, now_));
}

TEST_F(BalancerTest, WhereAllFailNobodyIsLeftOut) {
    for (std::size_t replica : {0, 1, 2}) {
        for (int i = 0; i < 30; ++i) balancer_.failed(replica, now_, now_);
    }
    for (std::size_t replica : {0, 1, 2}) EXPECT_FALSE(balancer_.ejected(replica, now_));
}

TEST_F(BalancerTest, AFewFailuresAreNoRecord) {
    succeed(0, 10ms, 20);
    succeed(1, 10ms, 20);
    for (int i = 0; i < 9; ++i) balancer_.failed(2, now_, now_);
    EXPECT_FALSE(balancer_.ejected(2, now_));
    balancer_.failed(2, now_, now_);
    EXPECT_TRUE(balancer_.ejected(2, now_));
}

TEST_F(BalancerTest, AtMostHalfAreLeftOut) {
    succeed(0, 10ms, 20);
    for (std::size_t replica : {1, 2}) {
        for (int i = 0; i < 20; ++i) balancer_.failed(replica, now_, now_);
    }
    EXPECT_TRUE(balancer_.ejected(1, now_));
    EXPECT_FALSE(balancer_.ejected(2, now_));
}

TEST_F(BalancerTest, OneThatIsFarSlowerIsLeftOut) {
    succeed(0, 300ms, 20);
    succeed(1, 400ms, 20);
    succeed(2, 1'400ms, 20);
    EXPECT_FALSE(balancer_.ejected(2, now_)) << "not five times as slow as the quickest";
    succeed(2, 9s, 20);
    EXPECT_TRUE(balancer_.ejected(2, now_));
}

TEST_F(BalancerTest, SlownessBelowASecondDoesNotCount) {
    succeed(0, 1ms, 20);
    succeed(1, 1ms, 20);
    succeed(2, 900ms, 20);
    EXPECT_FALSE(balancer_.ejected(2, now_));
}

TEST_F(BalancerTest, OneLeftOutServesWhereNobodyElseCan) {
    succeed(0, 10ms, 20);
    succeed(1, 10ms, 20);
    for (int i = 0; i < 20; ++i) balancer_.failed(2, now_, now_);
    standings_[0].usable = false;
    standings_[1].usable = false;
    EXPECT_EQ(choose(), 2U);
}

TEST_F(BalancerTest, WhatIsKnownOfThoseThatStayIsKeptUnderTheirNewNumbers) {
    const std::string prompt(8 * PrefixChain::kBlockBytes, 'p');
    const std::size_t seen = choose(prompt);
    const std::size_t bad = (seen + 1) % 3;
    const std::size_t gone = (seen + 2) % 3;
    succeed(seen, 10ms, 20);
    succeed(gone, 10ms, 20);
    for (int i = 0; i < 20; ++i) balancer_.failed(bad, now_, now_);
    ASSERT_TRUE(balancer_.ejected(bad, now_));
    const std::optional<std::size_t> before[] = {std::nullopt, bad, seen};
    Balancer later(balancer_, before, {});
    EXPECT_FALSE(later.ejected(0, now_));
    EXPECT_TRUE(later.ejected(1, now_));
    EXPECT_FALSE(later.ejected(2, now_));
    Work work;
    work.prompt.add(prompt);
    for (int i = 0; i < 6; ++i) EXPECT_EQ(later.choose(standings_, work, now_), 2U);
}

}  // namespace
}  // namespace hearth::replicas
