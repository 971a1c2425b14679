#include "backends/remote/limiter.h"

#include <gtest/gtest.h>

#include <atomic>
#include <boost/asio/io_context.hpp>
#include <future>
#include <memory>

#include "runtime/shard.h"
#include "testing/run.h"
#include "testing/start.h"

namespace hearth::remote {
namespace {

using namespace std::chrono_literals;
using PermitResult = Result<Limiter::Permit>;

Deadline within(std::chrono::milliseconds time) { return Deadline::after(time); }

PermitResult acquire(Limiter& limiter, std::chrono::milliseconds time = 1'000ms) {
    boost::asio::io_context io;
    return testing::run(io, limiter.acquire(within(time)));
}

TEST(Limiter, LetsSoManyRunAndRefusesWhatTheQueueDoesNotHold) {
    Limiter limiter(2, 0);
    auto one = std::make_unique<PermitResult>(acquire(limiter));
    const auto two = acquire(limiter);
    ASSERT_TRUE(*one && two);
    const auto three = acquire(limiter);
    ASSERT_FALSE(three);
    EXPECT_EQ(three.error().code, Code::Overloaded);
    EXPECT_EQ(three.error().reason, "queue_full");
    EXPECT_TRUE(three.error().retry_after);
    one.reset();
    EXPECT_TRUE(acquire(limiter));
    EXPECT_EQ(limiter.running(), 1U);
}

TEST(Limiter, WaitsNoLongerThanAllowed) {
    Limiter limiter(1, 1);
    const auto held = acquire(limiter);
    const auto late = acquire(limiter, 20ms);
    ASSERT_FALSE(late);
    EXPECT_EQ(late.error().reason, "queue_timeout");
    EXPECT_EQ(limiter.waiting(), 0U);
}

Awaitable<void> take_turn(Limiter& limiter, std::vector<int>& order, int number) {
    const auto permit = co_await limiter.acquire(within(5'000ms));
    if (permit) order.push_back(number);
}

TEST(Limiter, ServesInTheOrderOfArrival) {
    boost::asio::io_context io;
    Limiter limiter(1, 8);
    std::vector<int> order;
    auto held = std::make_unique<PermitResult>(acquire(limiter));
    std::vector<std::future<void>> turns;
    for (int i = 0; i < 5; ++i) turns.push_back(testing::start(io, take_turn(limiter, order, i)));
    io.poll();
    EXPECT_EQ(limiter.waiting(), 5U);
    held.reset();
    io.run();
    EXPECT_EQ(order, (std::vector{0, 1, 2, 3, 4}));
    EXPECT_EQ(limiter.running(), 0U);
}

Awaitable<void> hold_for_a_moment(Limiter& limiter, std::atomic<int>& inside,
                                  std::atomic<int>& most) {
    const auto permit = co_await limiter.acquire(within(20'000ms));
    if (!permit) std::abort();
    const int now = ++inside;
    for (int seen = most; now > seen && !most.compare_exchange_weak(seen, now);) {
    }
    (void)co_await sleep_until(within(1ms));
    --inside;
}

TEST(Limiter, HoldsOverAllShards) {
    runtime::Shards shards(2);
    shards.start();
    Limiter limiter(3, 200);
    std::atomic<int> inside = 0;
    std::atomic<int> most = 0;
    std::vector<std::future<void>> calls;
    for (std::size_t i = 0; i < 120; ++i) {
        calls.push_back(testing::start(shards.io(i % 2), hold_for_a_moment(limiter, inside, most)));
    }
    for (auto& call : calls) call.get();
    EXPECT_EQ(most, 3);
    EXPECT_EQ(limiter.running(), 0U);
    EXPECT_EQ(limiter.waiting(), 0U);
    shards.stop();
}

}  // namespace
}  // namespace hearth::remote
