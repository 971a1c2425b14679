#pragma once

#include <cstdint>
#include <list>
#include <memory>

#include "base/thread_safety.h"
#include "runtime/awaitable.h"
#include "runtime/deadline.h"

namespace hearth::worker {

// Tells coroutines on any shard that something changed. Thread-safe. A waiter reads version(),
// looks at the state it cares about, and waits for a later version: no change in between is missed.
class Wake {
  public:
    Wake();
    ~Wake();  // REQUIRES no waiter
    Wake(const Wake&) = delete;
    Wake& operator=(const Wake&) = delete;

    std::uint64_t version() const EXCLUDES(mutex_);
    void notify_all() EXCLUDES(mutex_);
    // Suspends until the version is past `seen`, the deadline, or the caller's cancellation.
    Awaitable<void> wait(std::uint64_t seen, Deadline deadline);

  private:
    struct Waiter;
    class Registration;

    mutable Mutex mutex_;
    std::uint64_t version_ GUARDED_BY(mutex_) = 0;
    std::list<std::shared_ptr<Waiter>> waiters_ GUARDED_BY(mutex_);
};

}  // namespace hearth::worker
