#pragma once

// Internal to http/: includes Asio.
#include <sys/epoll.h>

#include <array>
#include <boost/asio/execution_context.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <cstddef>
#include <cstdint>

#include "base/unique_fd.h"

namespace hearth::http {

class Poller;

// Something that waits for events of one descriptor, in its shard's Poller.
class Pollable {
  public:
    using Clock = std::chrono::steady_clock;

    Pollable() = default;
    Pollable(const Pollable&) = delete;
    Pollable& operator=(const Pollable&) = delete;
    virtual ~Pollable() = default;

    virtual void on_events(std::uint32_t events) = 0;
    // Called by the sweep when `deadline` has passed; it is reset before. It may destroy others.
    virtual void on_deadline() = 0;
    // The io_context is going away, and the poller has forgotten this: give up what waits.
    virtual void on_shutdown() = 0;

    Clock::time_point deadline = Clock::time_point::max();

  private:
    friend class Poller;
    Pollable* previous_ = nullptr;
    Pollable* next_ = nullptr;
};

// One epoll set per shard, inside the io_context's own. Sockets are registered once,
// edge-triggered, for everything: no system call per wait, and a client that leaves is noticed for
// nothing. Deadlines are plain time points: one timer per shard, set for the earliest, sweeps over
// all. While events follow each other closely the set is polled and not waited for, since to be
// woken takes longer than what there is to do: docs/decisions/0012-polling.md. Shard-local.
class Poller final : public boost::asio::execution_context::service {
  public:
    static boost::asio::execution_context::id id;  // NOLINT: the name asio asks for
    static Poller& of(boost::asio::io_context& io);

    explicit Poller(boost::asio::execution_context& context);

    boost::asio::io_context& io() { return io_; }
    // False when the kernel refuses (out of memory or watches).
    bool add(Pollable& pollable, int fd, std::uint32_t events);
    // For one that only waits for its deadline.
    void add(Pollable& pollable);
    // `fd` -1 for one added without.
    void remove(Pollable& pollable, int fd);
    // A deadline was set or has begun to matter.
    void watch(Pollable::Clock::time_point deadline) {
        if (deadline < next_sweep_) sweep_at(deadline);
    }

  private:
    static constexpr int kBatch = 128;
    // After an event, and only where it came as soon after the one before it.
    static constexpr std::chrono::microseconds kPollTime{100};
    // Sweeps walk all sockets of the shard, so they keep this distance; deadlines may be late by
    // it.
    static constexpr std::chrono::milliseconds kSweepGap{20};

    void shutdown() override;
    void forget(Pollable& pollable);
    void arm();
    void turn();
    void poll();
    int dispatch();
    void sweep_at(Pollable::Clock::time_point when);
    void sweep();

    boost::asio::io_context& io_;
    boost::asio::posix::stream_descriptor epoll_;
    boost::asio::steady_timer timer_;
    Pollable::Clock::time_point next_sweep_ = Pollable::Clock::time_point::max();
    Pollable::Clock::time_point last_event_;
    Pollable* first_ = nullptr;
    Pollable* sweep_next_ = nullptr;  // whose turn is next in the sweep that runs
    std::array<epoll_event, kBatch> events_{};
    int at_ = 0;  // events_[at_, end_) are still to be dispatched
    int end_ = 0;
    bool armed_ = false;  // a turn is to come
};

}  // namespace hearth::http
