#include "backends/worker/memory_ledger.h"

#include <gtest/gtest.h>

#include <atomic>
#include <boost/asio/io_context.hpp>
#include <random>

#include "base/format.h"
#include "runtime/shard.h"
#include "testing/run.h"
#include "testing/start.h"

namespace hearth::worker {
namespace {

using namespace std::chrono_literals;
using Clock = MemoryLedger::Clock;
using Grant = MemoryLedger::Grant;
using Request = MemoryLedger::Request;

DeviceBytes host(std::uint64_t mib) { return {{"host", mib * kMib}}; }

// A model that says of itself what the test wants, and remembers what it is asked.
struct Holder final : MemoryHolder {
    std::optional<Clock::time_point> idle_since() const override { return idle; }
    std::optional<Clock::time_point> ready_since() const override { return ready; }
    void give_back(bool drain) override { ++(drain ? drains : requests); }

    static Holder idle_for(Clock::duration time) {
        return {Clock::now() - time, Clock::now() - time};
    }
    static Holder busy() { return {std::nullopt, Clock::now() - 1h}; }

    Holder(std::optional<Clock::time_point> idle_in, std::optional<Clock::time_point> ready_in)
        : idle(idle_in), ready(ready_in) {}
    std::optional<Clock::time_point> idle;
    std::optional<Clock::time_point> ready;
    int requests = 0;  // to leave when nobody is inside
    int drains = 0;    // and to let nobody in until then
};

using Outcome = std::optional<Result<Grant>>;

Awaitable<void> reserve_task(MemoryLedger* ledger, Request request, Deadline deadline,
                             std::function<bool()> given_up, Outcome* into) {
    into->emplace(co_await ledger->reserve(std::move(request), deadline, std::move(given_up)));
}

class MemoryLedgerTest : public ::testing::Test {
  protected:
    void make(DeviceBytes budget, std::chrono::milliseconds patience = 1h) {
        ledger_ = std::make_unique<MemoryLedger>(std::move(budget), patience);
    }
    Result<Grant> take(std::string model, DeviceBytes need, MemoryHolder* holder = nullptr,
                       Deadline deadline = Deadline::after(0s)) {
        return testing::run(
            io_, ledger_->reserve({.model = std::move(model), .need = need, .holder = holder},
                                  deadline, nullptr));
    }
    // A load that waits until there is room.
    void begin(std::string model, DeviceBytes need, Outcome& into,
               std::function<bool()> given_up = nullptr) {
        testing::start(io_, reserve_task(ledger_.get(), {.model = std::move(model), .need = need},
                                         Deadline::after(10s), std::move(given_up), &into));
        settle();
    }
    void settle() {
        io_.restart();
        while (io_.poll_one() > 0) {
        }
    }
    bool becomes(const std::function<bool()>& condition) {
        const auto end = Clock::now() + 5s;
        io_.restart();
        while (!condition() && Clock::now() < end) io_.run_one_for(10ms);
        return condition();
    }
    // For longer than the ledger takes to look again.
    bool stays(const std::function<bool()>& condition) {
        const auto end = Clock::now() + 80ms;
        io_.restart();
        while (condition() && Clock::now() < end) io_.run_one_for(10ms);
        return condition();
    }
    std::uint64_t used() const {
        std::uint64_t sum = 0;
        for (const auto& entry : ledger_->entries()) sum += sum_of(entry.bytes);
        return sum;
    }
    bool noted(std::string_view model, std::string_view what) const {
        for (const auto& event : ledger_->events()) {
            if (event.model == model && event.what.contains(what)) return true;
        }
        return false;
    }

    std::unique_ptr<MemoryLedger> ledger_;
    boost::asio::io_context io_;
};

TEST_F(MemoryLedgerTest, GrantsUpToTheBudgetAndTakesBack) {
    make(host(10));
    auto first = take("a", host(4));
    auto second = take("b", host(6));
    ASSERT_TRUE(first && second);
    EXPECT_EQ(used(), 10 * kMib);
    EXPECT_FALSE(take("c", host(1)));
    *first = Grant();
    EXPECT_EQ(used(), 6 * kMib);
    EXPECT_TRUE(take("c", host(4)));
    EXPECT_TRUE(take("nothing", {}));
    EXPECT_TRUE(noted("a", "loads with 4 MiB on host: asked for"));
    EXPECT_EQ(ledger_->evictions(), 0U);
}

TEST_F(MemoryLedgerTest, MovesAGrantWithoutLosingIt) {
    make(host(10));
    auto first = take("a", host(10));
    ASSERT_TRUE(first);
    Grant moved = *std::move(first);
    Grant& self = moved;
    moved = std::move(self);
    EXPECT_EQ(used(), 10 * kMib);
    moved = Grant();
    EXPECT_EQ(used(), 0U);
}

TEST_F(MemoryLedgerTest, RefusesWhatNeverFitsWithBothCounts) {
    make({{"host", 10 * kMib}, {"CUDA0", 5 * kMib}});
    EXPECT_TRUE(take("a", {{"host", 10 * kMib}, {"CUDA0", 5 * kMib}}));
    const auto over = take("a", {{"host", 1}, {"CUDA0", 6 * kMib}}, nullptr, Deadline::after(10s));
    ASSERT_FALSE(over);
    EXPECT_EQ(over.error().code, Code::TooLarge);
    EXPECT_EQ(over.error().reason, "model_too_large");
    EXPECT_NE(over.error().message.find("6 MiB on CUDA0"), std::string::npos);
    EXPECT_NE(over.error().message.find("5 MiB"), std::string::npos) << over.error().message;
    EXPECT_EQ(take("a", {{"CUDA1", 1}}).error().code, Code::TooLarge);
    EXPECT_EQ(take("a", host(std::uint64_t{1} << 43)).error().code, Code::TooLarge);
}

TEST_F(MemoryLedgerTest, SaysAtTheDeadlineWhoHasTheMemory) {
    make(host(10));
    Holder busy = Holder::busy();
    auto held = take("the-large-one", host(8), &busy);
    ASSERT_TRUE(held);
    const auto late = take("b", host(4), nullptr, Deadline::after(40ms));
    ASSERT_FALSE(late);
    EXPECT_EQ(late.error().code, Code::Unavailable);
    EXPECT_EQ(late.error().reason, "no_memory");
    EXPECT_TRUE(late.error().retry_after);
    EXPECT_NE(late.error().message.find("the-large-one"), std::string::npos);
    EXPECT_EQ(busy.requests + busy.drains, 0);
}

TEST_F(MemoryLedgerTest, ServesLoadsInTheOrderTheyCame) {
    make(host(10));
    auto held = take("a", host(10));
    ASSERT_TRUE(held);
    Outcome first;
    Outcome second;
    begin("first", host(6), first);
    begin("second", host(6), second);
    *held = Grant();
    EXPECT_TRUE(becomes([&] { return first.has_value(); }));
    EXPECT_TRUE(stays([&] { return !second; }));
    **first = Grant();
    EXPECT_TRUE(becomes([&] { return second.has_value(); }));
}

TEST_F(MemoryLedgerTest, LetsASmallLoadPassALargeOneThatItDoesNotDelay) {
    make(host(10));
    Holder idle = Holder::idle_for(5s);
    auto leaving = take("leaving", host(6), &idle);
    ASSERT_TRUE(leaving);
    Outcome large;
    Outcome fits;
    Outcome delays;
    begin("large", host(8), large);
    EXPECT_EQ(idle.requests, 1);
    begin("delays", host(3), delays);
    begin("fits", host(2), fits);
    EXPECT_FALSE(large);
    EXPECT_FALSE(delays) << "it fits now, but not beside the large one";
    EXPECT_FALSE(fits) << "not beside both";
    Outcome alone;
    begin("elsewhere", {}, alone);
    EXPECT_TRUE(alone);
    *leaving = Grant();
    EXPECT_TRUE(becomes([&] { return large.has_value(); }));
    EXPECT_TRUE(stays([&] { return !delays; }));
    **large = Grant();
    EXPECT_TRUE(becomes([&] { return delays && fits; }));
}

TEST_F(MemoryLedgerTest, LetsASmallLoadIntoWhatALargeOneLeavesFree) {
    make(host(10));
    Holder idle = Holder::idle_for(5s);
    auto leaving = take("leaving", host(6), &idle);
    Outcome large;
    Outcome small;
    begin("large", host(8), large);
    begin("small", host(2), small);
    EXPECT_FALSE(large);
    ASSERT_TRUE(small);
    EXPECT_TRUE(*small);
    *leaving = Grant();
    EXPECT_TRUE(becomes([&] { return large.has_value(); }));
    EXPECT_EQ(used(), 10 * kMib);
}

TEST_F(MemoryLedgerTest, LetsALoadOnAnotherDevicePass) {
    make({{"host", 10 * kMib}, {"CUDA0", 10 * kMib}});
    auto held = take("a", host(10));
    Outcome waiting;
    begin("b", host(5), waiting);
    EXPECT_FALSE(waiting);
    EXPECT_TRUE(take("c", {{"CUDA0", 10 * kMib}}));
    *held = Grant();
    EXPECT_TRUE(becomes([&] { return waiting.has_value(); }));
}

TEST_F(MemoryLedgerTest, MakesTheLeastValuableIdleModelLeave) {
    make(host(30));
    Holder recent = Holder::idle_for(1s);
    Holder old = Holder::idle_for(100s);
    Holder busy = Holder::busy();
    auto a = take("recent", host(10), &recent);
    auto b = take("old", host(10), &old);
    auto c = take("busy", host(10), &busy);
    Outcome next;
    begin("next", host(10), next);
    EXPECT_EQ(old.requests, 1);
    EXPECT_EQ(recent.requests + busy.requests + busy.drains + old.drains, 0);
    EXPECT_TRUE(stays([&] { return !next && old.requests == 1; })) << "asked once";
    EXPECT_TRUE(noted("old", "leaves for next: idle for 100"));
    EXPECT_EQ(ledger_->evictions(), 1U);
    for (const auto& entry : ledger_->entries()) EXPECT_EQ(entry.leaving, entry.model == "old");
    *b = Grant();
    EXPECT_TRUE(becomes([&] { return next && *next; }));
    EXPECT_EQ(used(), 30 * kMib);
}

TEST_F(MemoryLedgerTest, MakesNobodyLeaveWhenTheIdleOnesAreNotEnough) {
    make(host(20));
    Holder idle = Holder::idle_for(5s);
    Holder busy = Holder::busy();
    auto a = take("idle", host(10), &idle);
    auto b = take("busy", host(10), &busy);
    Outcome next;
    begin("next", host(20), next);
    EXPECT_TRUE(stays([&] { return idle.requests == 0 && busy.drains == 0; }));
    *b = Grant();
    EXPECT_TRUE(becomes([&] { return idle.requests == 1; })) << "now it is enough";
    *a = Grant();
    EXPECT_TRUE(becomes([&] { return next.has_value(); }));
}

TEST_F(MemoryLedgerTest, DrainsABusyModelAfterItsPatience) {
    make(host(10), 150ms);
    Holder busy = Holder::busy();
    auto held = take("busy", host(10), &busy);
    const auto begun = Clock::now();
    Outcome next;
    begin("next", host(10), next);
    EXPECT_EQ(busy.drains, 0);
    EXPECT_TRUE(becomes([&] { return busy.drains == 1; }));
    EXPECT_GE(Clock::now() - begun, 150ms);
    EXPECT_EQ(busy.requests, 0);
    EXPECT_TRUE(noted("busy", "leaves for next: in use, but next has waited"));
    *held = Grant();
    EXPECT_TRUE(becomes([&] { return next.has_value(); }));
}

TEST_F(MemoryLedgerTest, LeavesAModelThatLoadsOrHasJustLoaded) {
    make(host(10), 60ms);
    Holder loading(std::nullopt, std::nullopt);
    auto held = take("loading", host(10), &loading);
    Outcome next;
    begin("next", host(10), next);
    const auto asked = Clock::now();
    while (Clock::now() - asked < 100ms) io_.run_one_for(5ms);
    EXPECT_EQ(loading.requests + loading.drains, 0);
    loading.ready = Clock::now();
    EXPECT_TRUE(becomes([&] { return loading.drains == 1; }));
    EXPECT_GE(Clock::now() - *loading.ready, 60ms);
    *held = Grant();
    EXPECT_TRUE(becomes([&] { return next.has_value(); }));
}

TEST_F(MemoryLedgerTest, DrainsAModelThatWasIdleWhenItWasAskedAndStaysInUse) {
    make(host(10), 60ms);
    Holder holder = Holder::idle_for(1h);
    auto held = take("a", host(10), &holder);
    Outcome next;
    begin("next", host(10), next);
    EXPECT_EQ(holder.requests, 1);
    holder.idle.reset();
    EXPECT_TRUE(becomes([&] { return holder.drains == 1; }));
    EXPECT_TRUE(stays([&] { return holder.drains == 1; }));
    EXPECT_EQ(ledger_->evictions(), 1U);
    *held = Grant();
    EXPECT_TRUE(becomes([&] { return next.has_value(); }));
}

TEST_F(MemoryLedgerTest, MakesNobodyLeaveForALoadThatWasGivenUp) {
    make(host(10));
    Holder idle = Holder::idle_for(5s);
    auto held = take("a", host(10), &idle);
    Outcome next;
    begin("next", host(10), next, [] { return true; });
    ASSERT_TRUE(next);
    EXPECT_EQ(next->error().code, Code::Cancelled);
    EXPECT_EQ(idle.requests, 0);
    *held = Grant();
    Outcome free;
    begin("free", host(10), free, [] { return true; });
    ASSERT_TRUE(free);
    EXPECT_TRUE(*free) << "what is free costs nobody anything";
}

TEST_F(MemoryLedgerTest, LetsTheNextOneOnWhenTheFirstGivesUp) {
    make(host(10));
    auto held = take("a", host(5));
    Outcome first;
    Outcome second;
    bool gone = false;
    begin("first", host(8), first, [&] { return gone; });
    begin("second", host(5), second);
    EXPECT_FALSE(first || second);
    gone = true;
    EXPECT_TRUE(becomes([&] { return first && second; }));
    EXPECT_EQ(first->error().code, Code::Cancelled);
    EXPECT_TRUE(*second);
}

TEST_F(MemoryLedgerTest, KeepsTheNewestEventsUpToABound) {
    make(host(10));
    for (std::size_t i = 0; i <= MemoryLedger::kEventsMax; ++i) {
        ASSERT_TRUE(take(format("m{}", i), host(1)));
    }
    const auto events = ledger_->events();
    ASSERT_EQ(events.size(), MemoryLedger::kEventsMax);
    // Each has loaded and gone.
    EXPECT_EQ(events.front().model, format("m{}", MemoryLedger::kEventsMax / 2 + 1));
    EXPECT_EQ(events.back().model, format("m{}", MemoryLedger::kEventsMax));
    EXPECT_EQ(events.back().what, "is gone: not needed any more");
}

// A model that leaves when it is asked, from whatever thread.
struct Guest final : MemoryHolder {
    std::optional<Clock::time_point> idle_since() const override { return since; }
    std::optional<Clock::time_point> ready_since() const override { return since; }
    void give_back(bool) override { asked = true; }
    const Clock::time_point since = Clock::now();
    std::atomic<bool> asked = false;
};

struct Tally {
    std::atomic<std::uint64_t> host = 0;
    std::atomic<std::uint64_t> device = 0;
    std::atomic<bool> over = false;
    std::atomic<int> served = 0;
};

constexpr std::uint64_t kHostMax = 100;
constexpr std::uint64_t kDeviceMax = 60;

Awaitable<void> churn_task(MemoryLedger* ledger, Tally* tally, unsigned seed, int rounds) {
    std::minstd_rand random(seed);
    for (int i = 0; i < rounds; ++i) {
        Guest guest;
        const std::uint64_t here = 1 + random() % kHostMax;
        const std::uint64_t there = random() % 2 == 0 ? 0 : 1 + random() % kDeviceMax;
        DeviceBytes need = {{"host", here}};
        if (there > 0) need["CUDA0"] = there;
        auto grant = co_await ledger->reserve({.model = "m", .need = need, .holder = &guest},
                                              Deadline::after(20s), nullptr);
        if (!grant) co_return;
        if (tally->host.fetch_add(here) + here > kHostMax) tally->over = true;
        if (tally->device.fetch_add(there) + there > kDeviceMax) tally->over = true;
        const auto stay = Deadline::after(std::chrono::microseconds(random() % 2'000));
        while (!guest.asked && !stay.passed()) {
            (void)co_await sleep_until(Deadline::after(100us));
        }
        tally->host -= here;
        tally->device -= there;
        *grant = Grant();
        ++tally->served;
    }
}

TEST(MemoryLedgerConcurrency, NeverPassesTheBudgetAndServesEverybody) {
    constexpr int kTasks = 16;
    constexpr int kRounds = 40;
    runtime::Shards shards(2);
    shards.start();
    MemoryLedger ledger({{"host", kHostMax}, {"CUDA0", kDeviceMax}}, 5ms);
    Tally tally;
    std::vector<std::future<void>> tasks;
    for (unsigned i = 0; i < kTasks; ++i) {
        tasks.push_back(
            testing::start(shards.io(i % 2), churn_task(&ledger, &tally, 17 + i, kRounds)));
    }
    for (auto& task : tasks) ASSERT_EQ(task.wait_for(30s), std::future_status::ready);
    shards.stop();
    EXPECT_FALSE(tally.over);
    EXPECT_EQ(tally.served, kTasks * kRounds);
    EXPECT_TRUE(ledger.entries().empty());
    EXPECT_LE(ledger.events().size(), MemoryLedger::kEventsMax);
}

Awaitable<void> relay_task(MemoryLedger* ledger, int rounds) {
    for (int i = 0; i < rounds; ++i) {
        auto grant = co_await ledger->reserve({.model = "m", .need = {{"host", 1}}},
                                              Deadline::after(20s), nullptr);
        if (!grant) co_return;
        // The other one is in the queue by then.
        (void)co_await sleep_until(Deadline::after(200us));
    }
}

// A release that woke nobody would cost the wait until the next look: 25 ms each.
TEST(MemoryLedgerConcurrency, WakesWhoWaitsWithEveryRelease) {
    constexpr int kRounds = 100;
    runtime::Shards shards(2);
    shards.start();
    MemoryLedger ledger({{"host", 1}}, 1h);
    const auto begun = Clock::now();
    auto first = testing::start(shards.io(0), relay_task(&ledger, kRounds));
    auto second = testing::start(shards.io(1), relay_task(&ledger, kRounds));
    ASSERT_EQ(first.wait_for(20s), std::future_status::ready);
    ASSERT_EQ(second.wait_for(20s), std::future_status::ready);
    EXPECT_LT(Clock::now() - begun, 2s);
    shards.stop();
}

}  // namespace
}  // namespace hearth::worker
