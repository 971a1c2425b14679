#pragma once

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <chrono>

#include "runtime/awaitable.h"

namespace hearth::runtime {

// Something for one coroutine to look at. Shard-local, one waiter. A notice before the wait is not
// lost.
class Event {
  public:
    using Clock = std::chrono::steady_clock;

    explicit Event(boost::asio::io_context& io) : timer_(io) {}

    void notify() {
        set_ = true;
        timer_.cancel();
    }
    Awaitable<void> wait_until(Clock::time_point when) {
        if (!set_) {
            timer_.expires_at(when);
            co_await timer_.async_wait(boost::asio::as_tuple(boost::asio::use_awaitable));
        }
        set_ = false;
    }

  private:
    boost::asio::steady_timer timer_;
    bool set_ = false;
};

}  // namespace hearth::runtime
