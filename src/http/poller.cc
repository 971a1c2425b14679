#include "http/poller.h"

#include <sched.h>

#include <algorithm>
#include <boost/asio/post.hpp>

#include "base/error.h"

namespace asio = boost::asio;

namespace hearth::http {

asio::execution_context::id Poller::id;

Poller& Poller::of(asio::io_context& io) { return asio::use_service<Poller>(io); }

Poller::Poller(asio::execution_context& context)
    : asio::execution_context::service(context),
      io_(static_cast<asio::io_context&>(context)),
      epoll_(io_),
      timer_(io_) {
    const int fd = ::epoll_create1(EPOLL_CLOEXEC);
    CHECK(fd >= 0);
    epoll_.assign(fd);
}

bool Poller::add(Pollable& pollable, int fd, std::uint32_t events) {
    epoll_event event{.events = events, .data = {.ptr = &pollable}};
    if (::epoll_ctl(epoll_.native_handle(), EPOLL_CTL_ADD, fd, &event) != 0) return false;
    add(pollable);
    if (!armed_) arm();
    return true;
}

void Poller::add(Pollable& pollable) {
    pollable.next_ = first_;
    if (first_) first_->previous_ = &pollable;
    first_ = &pollable;
}

void Poller::remove(Pollable& pollable, int fd) {
    // Closing alone is not enough: a child between fork and exec still holds the description.
    if (fd >= 0) ::epoll_ctl(epoll_.native_handle(), EPOLL_CTL_DEL, fd, nullptr);
    forget(pollable);
}

void Poller::forget(Pollable& pollable) {
    if (pollable.next_) pollable.next_->previous_ = pollable.previous_;
    if (pollable.previous_) pollable.previous_->next_ = pollable.next_;
    if (first_ == &pollable) first_ = pollable.next_;
    if (sweep_next_ == &pollable) sweep_next_ = pollable.next_;
    pollable.next_ = pollable.previous_ = nullptr;
    for (int i = at_; i < end_; ++i) {
        if (events_[std::size_t(i)].data.ptr == &pollable)
            events_[std::size_t(i)].data.ptr = nullptr;
    }
}

void Poller::shutdown() {
    // Each one called may destroy itself and others.
    while (Pollable* const pollable = first_) {
        forget(*pollable);
        pollable->on_shutdown();
    }
}

void Poller::arm() {
    armed_ = true;
    epoll_.async_wait(asio::posix::stream_descriptor::wait_read,
                      [this](const boost::system::error_code& error) {
                          armed_ = false;
                          if (!error) turn();
                      });
}

void Poller::turn() {
    // A busy shard asks again at once: cheaper than a round through the outer set.
    constexpr int kRounds = 8;
    constexpr int kBusy = 4;
    const int count = dispatch();
    for (int round = 1, last = count; round < kRounds && last >= kBusy; ++round) last = dispatch();
    if (armed_) return;
    const auto now = Pollable::Clock::now();
    const bool is_soon = now - last_event_ < kPollTime;
    if (count > 0) last_event_ = now;
    if (is_soon) {
        poll();
    } else {
        arm();
    }
}

void Poller::poll() {
    armed_ = true;
    // Whoever else wants this core gets it first.
    ::sched_yield();
    asio::post(io_, [this] {
        armed_ = false;
        turn();
    });
}

int Poller::dispatch() {
    const int count = ::epoll_wait(epoll_.native_handle(), events_.data(), kBatch, 0);
    at_ = 0;
    end_ = std::max(count, 0);
    while (at_ < end_) {
        const epoll_event& event = events_[std::size_t(at_++)];
        if (event.data.ptr) static_cast<Pollable*>(event.data.ptr)->on_events(event.events);
    }
    return count;
}

void Poller::sweep_at(Pollable::Clock::time_point when) {
    next_sweep_ = when;
    timer_.expires_at(when);
    timer_.async_wait([this](const boost::system::error_code& error) {
        if (!error) sweep();
    });
}

void Poller::sweep() {
    const auto now = Pollable::Clock::now();
    auto earliest = Pollable::Clock::time_point::max();
    next_sweep_ = earliest;  // so that a deadline set in between is not lost
    for (Pollable* pollable = first_; pollable; pollable = sweep_next_) {
        sweep_next_ = pollable->next_;
        if (pollable->deadline <= now) {
            pollable->deadline = Pollable::Clock::time_point::max();
            pollable->on_deadline();
        } else {
            earliest = std::min(earliest, pollable->deadline);
        }
    }
    earliest = std::min(earliest, next_sweep_);
    if (earliest != Pollable::Clock::time_point::max()) {
        sweep_at(std::max(earliest, now + kSweepGap));
    }
}

}  // namespace hearth::http
