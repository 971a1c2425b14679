#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "base/thread_safety.h"

namespace hearth::remote {

struct BreakerOptions {
    std::size_t failures_max = 5;  // in a row; then it opens
    std::chrono::milliseconds open_time{1'000};
    std::chrono::milliseconds open_time_max{30'000};
};

// Keeps calls from a server that fails. Closed, it lets every call pass. After `failures_max`
// failures in a row it is open and lets none pass, for `open_time`. Then it is half-open: one call
// at a time passes as a probe. A probe that succeeds closes it; one that fails opens it again for
// twice as long, up to `open_time_max`. Thread-safe. Callers give the time, so that tests need not
// wait.
class Breaker {
  public:
    using Clock = std::chrono::steady_clock;
    enum class State : std::uint8_t { Closed, Open, HalfOpen };

    // A call on its way; says at most once what became of it. One that ends without a word, as when
    // its caller left, tells nothing of the server. The breaker must outlive it.
    class Pass {
      public:
        Pass(Pass&& other) noexcept;
        Pass& operator=(Pass&&) = delete;
        ~Pass();
        void succeeded();
        void failed(Clock::time_point now);
        // The server has begun to answer. Of a probe that is enough: others need not wait until a
        // long answer has ended.
        void answers() {
            if (probes_) succeeded();
        }

      private:
        friend class Breaker;
        Pass(Breaker& breaker, std::uint64_t era, bool probes)
            : breaker_(&breaker), era_(era), probes_(probes) {}
        Breaker* breaker_;
        std::uint64_t era_;
        bool probes_;
    };

    explicit Breaker(BreakerOptions options) : options_(options) {}

    // Nothing: the call must not be made.
    std::optional<Pass> pass(Clock::time_point now) EXCLUDES(mutex_);
    State state(Clock::time_point now) const EXCLUDES(mutex_);
    // When an open one lets the next call pass.
    Clock::time_point retry_at() const EXCLUDES(mutex_);

  private:
    void settle(std::uint64_t era, bool probed, std::optional<bool> success, Clock::time_point now)
        EXCLUDES(mutex_);

    const BreakerOptions options_;
    mutable Mutex mutex_;
    // Counts openings and closings: what calls of an earlier era say is old news.
    std::uint64_t era_ GUARDED_BY(mutex_) = 0;
    std::size_t failures_ GUARDED_BY(mutex_) = 0;  // in a row
    std::size_t openings_ GUARDED_BY(mutex_) = 0;  // in a row; 0: closed
    bool probing_ GUARDED_BY(mutex_) = false;
    Clock::time_point retry_at_ GUARDED_BY(mutex_);
};

}  // namespace hearth::remote
