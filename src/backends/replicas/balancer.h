#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "backends/replicas/prefix.h"
#include "backends/replicas/work.h"
#include "base/thread_safety.h"

namespace hearth::replicas {

struct BalancerOptions {
    std::chrono::milliseconds eject_time{30'000};
    std::size_t calls_min = 10;  // before anybody is judged by its record
    double failures_high = 0.5;  // share of failed calls: over it, while ...
    double failures_low = 0.1;   // ... another is under it, the replica is left out
    double slowness_max = 5;     // times the quickest's time to the first token
    std::chrono::milliseconds slowness_least{1'000};  // ... and slower than that

    bool operator==(const BalancerOptions&) const = default;
};

// What is known of a replica at the moment of a choice.
struct Standing {
    bool usable = true;            // healthy, and not tried for this call before
    double weight = 1;             // its share of the work, relative to the others'; over 0
    std::int64_t outstanding = 0;  // tokens its server owes
};

// Chooses among the replicas of a model: the one with the least outstanding work for its weight,
// less the work that the beginning of the prompt saves where it was seen last. Those that differ by
// less than two calls like this one are equals, and take turns by weight. A replica that fails, or
// is slow, far more than the others is left out for a while, at most half of them at a time; what
// becomes of calls that it had by then is not held against it afterwards. Thread-safe. Time is
// given, so that tests need not wait.
class Balancer {
  public:
    using Clock = std::chrono::steady_clock;

    // At most 64 replicas.
    Balancer(std::size_t replicas, BalancerOptions options);
    // Begins with what `earlier` knows of those it had too: the n-th was its `before[n]`, or is
    // new.
    Balancer(const Balancer& earlier, std::span<const std::optional<std::size_t>> before,
             BalancerOptions options) EXCLUDES(earlier.mutex_);

    // The index of a usable one; nothing when there is none.
    std::optional<std::size_t> choose(std::span<const Standing> standings, const Work& work,
                                      Clock::time_point now) EXCLUDES(mutex_);
    // The same of one that is asked beside another for the same answer. It takes no turn: else the
    // one that is always overtaken would be as often the first as the one that overtakes it.
    std::optional<std::size_t> choose_beside(std::span<const Standing> standings, const Work& work,
                                             Clock::time_point now) EXCLUDES(mutex_);
    // How a call that was begun then has ended. `first_token`: absent where that says nothing.
    void succeeded(std::size_t replica, std::optional<std::chrono::nanoseconds> first_token,
                   Clock::time_point begun, Clock::time_point now) EXCLUDES(mutex_);
    void failed(std::size_t replica, Clock::time_point begun, Clock::time_point now)
        EXCLUDES(mutex_);
    bool ejected(std::size_t replica, Clock::time_point now) const EXCLUDES(mutex_);

  private:
    struct Record {
        double turn = 0;         // work given so far, per weight
        double failures = 0;     // share, lately
        double first_token = 0;  // seconds, lately; 0: not known
        std::size_t calls = 0;   // since it was last left out
        Clock::time_point ejected_until{};
    };
    std::optional<std::size_t> best_of(std::span<const Standing> standings, const Work& work,
                                       Clock::time_point now) REQUIRES(mutex_);
    std::size_t equal_whose_turn_it_is(std::span<const double> owed, std::span<const double> added,
                                       std::size_t least) const REQUIRES(mutex_);
    void judge(std::size_t replica, Clock::time_point now) REQUIRES(mutex_);
    bool stands_out(const Record& record) const REQUIRES(mutex_);

    const BalancerOptions options_;
    mutable Mutex mutex_;
    std::vector<Record> records_ GUARDED_BY(mutex_);
    PrefixTable prefixes_ GUARDED_BY(mutex_);
    double turn_ GUARDED_BY(mutex_) = 0;  // of the last one chosen
};

}  // namespace hearth::replicas
