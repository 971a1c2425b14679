#include "backends/worker/poison.h"

#include <gtest/gtest.h>

#include "backends/worker/backoff.h"
#include "base/format.h"

namespace hearth::worker {
namespace {

using namespace std::chrono_literals;

const PoisonTable::Time kStart{1h};

TEST(PoisonTable, CountsTheDeathsOfEachRequest) {
    PoisonTable table(8, 10min);
    const Fingerprint one = fingerprint_of("one");
    const Fingerprint two = fingerprint_of("two");
    EXPECT_EQ(table.deaths(one, kStart), 0U);
    table.blame(one, kStart);
    table.blame(two, kStart);
    table.blame(one, kStart);
    EXPECT_EQ(table.deaths(one, kStart), 2U);
    EXPECT_EQ(table.deaths(two, kStart), 1U);
    table.clear(two);
    EXPECT_EQ(table.deaths(two, kStart), 0U);
}

TEST(PoisonTable, ForgetsAfterItsTime) {
    PoisonTable table(8, 10min);
    const Fingerprint one = fingerprint_of("one");
    table.blame(one, kStart);
    EXPECT_EQ(table.deaths(one, kStart + 10min - 1ms), 1U);
    EXPECT_EQ(table.deaths(one, kStart + 10min), 0U);
    table.blame(one, kStart + 10min);
    EXPECT_EQ(table.deaths(one, kStart + 10min), 1U);
    EXPECT_EQ(table.size(), 1U);
}

TEST(PoisonTable, StaysWithinItsBoundByForgettingTheOldest) {
    PoisonTable table(100, 10min);
    for (int i = 0; i < 101; ++i) table.blame(fingerprint_of(format("{}", i)), kStart);
    EXPECT_EQ(table.size(), 100U);
    EXPECT_EQ(table.deaths(fingerprint_of("0"), kStart), 0U);
    EXPECT_EQ(table.deaths(fingerprint_of("1"), kStart), 1U);
}

TEST(Backoff, RestartsAtOnceThenDoublesUpToItsBound) {
    EXPECT_EQ(backoff(0, 100ms, 1s, 0.5), 0ms);
    EXPECT_EQ(backoff(1, 100ms, 1s, 0.5), 0ms);
    EXPECT_EQ(backoff(2, 100ms, 1s, 0.5), 100ms);
    EXPECT_EQ(backoff(3, 100ms, 1s, 0.5), 200ms);
    EXPECT_EQ(backoff(4, 100ms, 1s, 0.5), 400ms);
    EXPECT_EQ(backoff(1000, 100ms, 1s, 0.5), 1s);
}

TEST(Backoff, SpreadsByAFifthEitherWay) {
    EXPECT_EQ(backoff(2, 100ms, 1s, 0.0), 80ms);
    EXPECT_EQ(backoff(2, 100ms, 1s, 1.0), 120ms);
}

}  // namespace
}  // namespace hearth::worker
