#pragma once

#include <algorithm>
#include <chrono>
#include <optional>
#include <utility>

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

namespace detail {

enum class Finish { Done, Late, Cancelled };

// Runs `work` to its end, cancelling it at `deadline`. Late: it was cancelled by the deadline.
// Exceptions of `work` pass through, except the one with which asio ends a cancelled coroutine.
Awaitable<Finish> run_until(Deadline deadline, Awaitable<void> work);

template <class T>
Awaitable<void> keep_result(Awaitable<Result<T>> work, std::optional<Result<T>>& result) {
    result.emplace(co_await std::move(work));
}

}  // namespace detail

// Awaits `work`; cancels it at `deadline` (terminal cancellation) and returns DeadlineExceeded.
// A value that arrives despite the cancellation is returned. `work` is started inside and its frame
// is gone when this returns. Cost: one timer and one coroutine more than `work` itself.
template <class T>
Awaitable<Result<T>> with_deadline(Deadline deadline, Awaitable<Result<T>> work) {
    std::optional<Result<T>> result;
    const detail::Finish finish =
        co_await detail::run_until(deadline, detail::keep_result(std::move(work), result));
    if (result && (*result || finish == detail::Finish::Done)) co_return std::move(*result);
    if (finish == detail::Finish::Late) {
        co_return fail(Code::DeadlineExceeded, "took longer than allowed");
    }
    co_return fail(Code::Cancelled, "cancelled");
}

}  // namespace hearth
