#include "backends/remote/limiter.h"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <utility>

#include "base/format.h"

namespace hearth::remote {

namespace asio = boost::asio;

struct Limiter::Waiter {
    Waiter(const asio::any_io_executor& executor, Deadline deadline)
        : timer(executor, deadline.when()) {}
    asio::steady_timer timer;
    bool granted = false;  // guarded by the limiter's mutex
};

// In the queue as long as its coroutine waits, however that ends. What was granted and not taken
// goes to the next.
class Limiter::Place {
  public:
    Place(Limiter& limiter, std::shared_ptr<Waiter> waiter)
        : limiter_(limiter), waiter_(std::move(waiter)) {
        if (limiter_.waiting_) limiter_.waiting_->add(1);
    }
    ~Place() {
        if (limiter_.waiting_) limiter_.waiting_->add(-1);
        const MutexLock lock(limiter_.mutex_);
        if (taken_) return;
        if (waiter_->granted) {
            limiter_.hand_on();
        } else {
            limiter_.waiters_.remove(waiter_);
        }
    }
    Place(const Place&) = delete;
    Place& operator=(const Place&) = delete;

    bool take() {
        const MutexLock lock(limiter_.mutex_);
        taken_ = waiter_->granted;
        return taken_;
    }

  private:
    Limiter& limiter_;
    const std::shared_ptr<Waiter> waiter_;
    bool taken_ = false;
};

Limiter::Permit::Permit(Permit&& other) noexcept
    : limiter_(std::exchange(other.limiter_, nullptr)) {}

Limiter::Permit::~Permit() {
    if (limiter_ != nullptr) limiter_->release();
}

Limiter::Limiter(std::size_t running_max, std::size_t waiting_max,
                 std::optional<metrics::Gauge> waiting)
    : running_max_(running_max), waiting_max_(waiting_max), waiting_(waiting) {
    CHECK(running_max > 0);
}

Limiter::~Limiter() {
    const MutexLock lock(mutex_);
    CHECK(waiters_.empty());
}

Awaitable<Result<Limiter::Permit>> Limiter::acquire(Deadline deadline) {
    const auto executor = co_await asio::this_coro::executor;
    std::shared_ptr<Waiter> waiter;
    {
        const MutexLock lock(mutex_);
        if (running_ < running_max_) {
            ++running_;
            co_return Permit(*this);
        }
        if (waiters_.size() >= waiting_max_) {
            co_return fail({.code = Code::Overloaded,
                            .message = format("{} calls run there and {} wait; try again later",
                                              running_, waiters_.size()),
                            .reason = "queue_full",
                            .retry_after = std::chrono::seconds(1)});
        }
        waiter = std::make_shared<Waiter>(executor, deadline);
        waiters_.push_back(waiter);
    }
    Place place(*this, waiter);
    co_await waiter->timer.async_wait(asio::as_tuple(asio::use_awaitable));
    if (place.take()) co_return Permit(*this);
    co_return fail({.code = Code::DeadlineExceeded,
                    .message = "waited for its turn longer than allowed",
                    .reason = "queue_timeout"});
}

void Limiter::release() {
    const MutexLock lock(mutex_);
    hand_on();
}

// Posted to the waiter's own executor: its timer is touched on its shard only, and after it waits.
void Limiter::hand_on() {
    if (waiters_.empty()) {
        --running_;
        return;
    }
    const std::shared_ptr<Waiter> next = std::move(waiters_.front());
    waiters_.pop_front();
    next->granted = true;
    asio::post(next->timer.get_executor(), [next] { next->timer.cancel(); });
}

std::size_t Limiter::running() const {
    const MutexLock lock(mutex_);
    return running_;
}

std::size_t Limiter::waiting() const {
    const MutexLock lock(mutex_);
    return waiters_.size();
}

}  // namespace hearth::remote
