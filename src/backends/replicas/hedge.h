#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <utility>

#include "backends/replicas/failover.h"
#include "backends/replicas/race.h"
#include "base/error.h"
#include "runtime/deadline.h"

namespace hearth::replicas {

// A call to one of a tier's replicas: what is known of it beside its result.
struct Attempt {
    const Replica* replica;
    std::size_t index;  // in its tier
    std::chrono::steady_clock::time_point begun = {};
    Race* race = nullptr;  // with another for the same answer
    Race::Runner runner = Race::Runner::First;
    bool final = false;  // the caller has seen something, or has left
    std::optional<std::chrono::nanoseconds> first_token = {};
};

// The io_context of the shard that this runs on.
Awaitable<std::reference_wrapper<boost::asio::io_context>> this_io();

// A call to one replica that, where it has said nothing for a while, is made to another as well.
// Whoever says something first gives the answer; where one fails before that the other goes on.
// Shard-local; one per call.
template <class T>
class Hedge {
  public:
    struct Options {
        std::function<Awaitable<Result<T>>(Attempt&)> ask;
        // Whom to ask beside the first; nothing: nobody.
        std::function<std::optional<Attempt>()> find_spare;
        std::chrono::milliseconds after;
        std::int64_t tokens;  // of the call, as a server's load
    };
    // What became of one of the two.
    struct Ended {
        Attempt attempt;
        Result<T> reply = fail(Code::Cancelled, "cancelled");
    };

    // What the options hold must outlive it.
    Hedge(boost::asio::io_context& io, Options options, Attempt first)
        : options_(std::move(options)), first_{.attempt = first}, race_(io) {}

    // Returns when both have ended.
    Awaitable<void> run() { return race_.run(first_task(), spare_task()); }

    // Afterwards: whose reply is the call's, and the other if it failed by itself before it could
    // lose. One that was cancelled says nothing of its server.
    Ended& answered() { return spare_answers() ? *spare_ : first_; }
    const Ended* failed_too() const {
        if (!spare_) return nullptr;
        const bool spare = spare_answers();
        const Ended& other = spare ? first_ : *spare_;
        return (spare ? first_failed_ : spare_failed_) ? &other : nullptr;
    }
    bool spare_won() const { return race_.winner() == Race::Runner::Spare; }

  private:
    Awaitable<void> first_task() {
        co_await ask(first_);
        co_await settle(first_, first_failed_);
        if (!spare_) race_.cancel(Race::Runner::Spare);
    }
    Awaitable<void> spare_task() {
        if (!co_await sleep_until(Deadline::after(options_.after))) co_return;
        // The first may have ended in the same moment.
        if (race_.cancelled(Race::Runner::Spare)) co_return;
        const auto attempt = options_.find_spare();
        if (!attempt) co_return;
        spare_.emplace(*attempt);
        spare_->attempt.runner = Race::Runner::Spare;
        co_await ask(*spare_);
        co_await settle(*spare_, spare_failed_);
    }
    Awaitable<void> ask(Ended& asked) {
        const Load::Share share(asked.attempt.replica->load, options_.tokens);
        asked.attempt.race = &race_;
        asked.reply = co_await options_.ask(asked.attempt);
    }
    // An answer that has ended is the call's whether it said anything or not; so is a failure that
    // nobody can mend. What the spare finds wrong with the call the first may not.
    Awaitable<void> settle(const Ended& ended, bool& failed) {
        const Race::Runner who = ended.attempt.runner;
        if (race_.lost(who)) co_return;
        failed = !ended.reply;
        const bool is_first = who == Race::Runner::First;
        if (ended.reply || ended.attempt.final ||
            (is_first && !may_succeed_elsewhere(ended.reply.error()))) {
            (void)co_await race_.claim(who);
        }
    }
    bool spare_answers() const {
        if (race_.winner()) return spare_won();
        return spare_failed_ && !may_succeed_elsewhere(spare_->reply.error());
    }

    const Options options_;
    Ended first_;
    std::optional<Ended> spare_;
    bool first_failed_ = false;
    bool spare_failed_ = false;
    Race race_;  // the last: its tasks use the others
};

}  // namespace hearth::replicas
