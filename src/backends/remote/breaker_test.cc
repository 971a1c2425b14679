#include "backends/remote/breaker.h"

#include <gtest/gtest.h>

namespace hearth::remote {
namespace {

using namespace std::chrono_literals;
using State = Breaker::State;

class BreakerTest : public testing::Test {
  protected:
    bool fail() {
        auto pass = breaker_.pass(now_);
        if (pass) pass->failed(now_);
        return pass.has_value();
    }
    bool succeed() {
        auto pass = breaker_.pass(now_);
        if (pass) pass->succeeded();
        return pass.has_value();
    }
    void open() {
        for (int i = 0; i < 3; ++i) ASSERT_TRUE(fail());
        ASSERT_EQ(breaker_.state(now_), State::Open);
    }

    Breaker::Clock::time_point now_{1'000s};
    Breaker breaker_{{.failures_max = 3, .open_time = 1s, .open_time_max = 5s}};
};

TEST_F(BreakerTest, OpensAfterSoManyFailuresInARow) {
    EXPECT_TRUE(fail());
    EXPECT_TRUE(fail());
    EXPECT_TRUE(succeed());
    EXPECT_TRUE(fail());
    EXPECT_TRUE(fail());
    EXPECT_EQ(breaker_.state(now_), State::Closed);
    EXPECT_TRUE(fail());
    EXPECT_EQ(breaker_.state(now_), State::Open);
    EXPECT_FALSE(breaker_.pass(now_));
    EXPECT_EQ(breaker_.retry_at(), now_ + 1s);
}

TEST_F(BreakerTest, HalfOpenLetsOneCallPassAtATime) {
    open();
    now_ += 999ms;
    EXPECT_FALSE(breaker_.pass(now_));
    now_ += 1ms;
    EXPECT_EQ(breaker_.state(now_), State::HalfOpen);
    {
        const auto probe = breaker_.pass(now_);
        ASSERT_TRUE(probe);
        EXPECT_FALSE(breaker_.pass(now_));
    }
    EXPECT_TRUE(breaker_.pass(now_)) << "a probe whose caller left makes room for another";
}

TEST_F(BreakerTest, AProbeThatSucceedsCloses) {
    open();
    now_ += 1s;
    EXPECT_TRUE(succeed());
    EXPECT_EQ(breaker_.state(now_), State::Closed);
    EXPECT_TRUE(fail());
    EXPECT_EQ(breaker_.state(now_), State::Closed) << "the count began anew";
}

TEST_F(BreakerTest, AProbeThatFailsOpensForTwiceAsLongUpToABound) {
    open();
    for (const auto wait : {1s, 2s, 4s, 5s, 5s}) {
        EXPECT_EQ(breaker_.retry_at(), now_ + wait);
        now_ += wait;
        EXPECT_TRUE(fail());
    }
    now_ += 5s;
    EXPECT_TRUE(succeed());
    open();
    EXPECT_EQ(breaker_.retry_at(), now_ + 1s) << "once closed, it begins with the short time";
}

TEST_F(BreakerTest, WhatBeganBeforeItOpenedSaysNothingAfterwards) {
    auto early = breaker_.pass(now_);
    open();
    early->succeeded();
    EXPECT_EQ(breaker_.state(now_), State::Open);
}

}  // namespace
}  // namespace hearth::remote
