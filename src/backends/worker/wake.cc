#include "backends/worker/wake.h"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <utility>

namespace hearth::worker {

namespace asio = boost::asio;

struct Wake::Waiter {
    Waiter(const asio::any_io_executor& executor, Deadline deadline)
        : timer(executor, deadline.when()) {}
    asio::steady_timer timer;
};

// Takes the waiter off the list however its coroutine ends.
class Wake::Registration {
  public:
    // Absent when the version is already past `seen`.
    Registration(Wake& wake, std::uint64_t seen, std::shared_ptr<Waiter> waiter) : wake_(wake) {
        MutexLock lock(wake_.mutex_);
        if (wake_.version_ != seen) return;
        place_ = wake_.waiters_.insert(wake_.waiters_.end(), std::move(waiter));
        listed_ = true;
    }
    ~Registration() {
        if (!listed_) return;
        MutexLock lock(wake_.mutex_);
        wake_.waiters_.erase(place_);
    }
    Registration(const Registration&) = delete;
    Registration& operator=(const Registration&) = delete;
    bool listed() const { return listed_; }

  private:
    Wake& wake_;
    std::list<std::shared_ptr<Waiter>>::iterator place_;
    bool listed_ = false;
};

Wake::Wake() = default;

Wake::~Wake() {
    MutexLock lock(mutex_);
    CHECK(waiters_.empty());
}

std::uint64_t Wake::version() const {
    MutexLock lock(mutex_);
    return version_;
}

// Posted to the waiter's own executor: its timer is touched on its shard only, and after it waits.
void Wake::notify_all() {
    MutexLock lock(mutex_);
    ++version_;
    for (const auto& waiter : waiters_) {
        asio::post(waiter->timer.get_executor(), [waiter] { waiter->timer.cancel(); });
    }
}

Awaitable<void> Wake::wait(std::uint64_t seen, Deadline deadline) {
    auto waiter = std::make_shared<Waiter>(co_await asio::this_coro::executor, deadline);
    const Registration registration(*this, seen, waiter);
    if (!registration.listed()) co_return;
    co_await waiter->timer.async_wait(asio::as_tuple(asio::use_awaitable));
}

}  // namespace hearth::worker
