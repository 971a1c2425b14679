#pragma once

#include <cstddef>
#include <list>
#include <memory>
#include <optional>

#include "base/error.h"
#include "base/thread_safety.h"
#include "runtime/awaitable.h"
#include "runtime/deadline.h"
#include "telemetry/metrics.h"

namespace hearth::remote {

// So many calls at a time; others wait in the order they came, in a queue with a bound.
// Thread-safe: callers may be on any shard.
class Limiter {
  public:
    // The right to make a call; ends with it. The limiter must outlive it.
    class Permit {
      public:
        Permit(Permit&& other) noexcept;
        Permit& operator=(Permit&&) = delete;
        ~Permit();

      private:
        friend class Limiter;
        explicit Permit(Limiter& limiter) : limiter_(&limiter) {}
        Limiter* limiter_;
    };

    // REQUIRES running_max >= 1. `waiting` has one more for each that waits, beside what others put
    // into it.
    Limiter(std::size_t running_max, std::size_t waiting_max,
            std::optional<metrics::Gauge> waiting = std::nullopt);
    ~Limiter();  // REQUIRES no waiter
    Limiter(const Limiter&) = delete;
    Limiter& operator=(const Limiter&) = delete;

    // Errors: Overloaded (reason "queue_full"), DeadlineExceeded (reason "queue_timeout").
    Awaitable<Result<Permit>> acquire(Deadline deadline);

    std::size_t running() const EXCLUDES(mutex_);
    std::size_t waiting() const EXCLUDES(mutex_);

  private:
    struct Waiter;
    class Place;

    void release() EXCLUDES(mutex_);
    void hand_on() REQUIRES(mutex_);

    const std::size_t running_max_;
    const std::size_t waiting_max_;
    const std::optional<metrics::Gauge> waiting_;
    mutable Mutex mutex_;
    std::size_t running_ GUARDED_BY(mutex_) = 0;
    std::list<std::shared_ptr<Waiter>> waiters_ GUARDED_BY(mutex_);
};

}  // namespace hearth::remote
