#pragma once

#include <algorithm>
#include <chrono>

#include "base/error.h"
#include "runtime/awaitable.h"

namespace hearth {

// A moment on the steady clock by which something must have happened. A value; immutable.
class Deadline {
  public:
    using Clock = std::chrono::steady_clock;

    static Deadline after(Clock::duration wait) { return Deadline(Clock::now() + wait); }
    static Deadline at(Clock::time_point when) { return Deadline(when); }
    Clock::time_point when() const { return when_; }
    Clock::duration left() const { return std::max(when_ - Clock::now(), Clock::duration(0)); }
    bool passed() const { return Clock::now() >= when_; }
    Deadline earlier(Deadline other) const { return Deadline(std::min(when_, other.when_)); }

  private:
    explicit Deadline(Clock::time_point when) : when_(when) {}
    Clock::time_point when_;
};

// Suspends until `deadline`. Error: Cancelled.
Awaitable<Result<void>> sleep_until(Deadline deadline);

// Awaits `work`; cancels it at `deadline` (terminal cancellation) and returns DeadlineExceeded.
// `work` is started inside and its frame is gone when this returns.
template <class T>
Awaitable<Result<T>> with_deadline(Deadline deadline, Awaitable<Result<T>> work);

}  // namespace hearth
