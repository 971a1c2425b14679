#pragma once

// Internal to http/: includes Asio.
#include <chrono>
#include <cstddef>
#include <memory>
#include <vector>

#include "http/client_socket.h"
#include "http/poller.h"

namespace hearth::http {

// Connections of one client that wait for their next request, newest used first. Those the server
// closes, and those that wait too long, are closed within the distance of the poller's sweeps.
// Shard-local.
class IdleConnections final : private Pollable {
  public:
    struct Limits {
        std::size_t connections_max = 0;
        std::chrono::milliseconds time{0};
    };
    explicit IdleConnections(Limits limits) : limits_(limits) {}
    ~IdleConnections() override;

    // One that is open as far as is known, or null.
    std::unique_ptr<ClientSocket> take();
    // Closes it when it cannot serve again, and the oldest when there are too many.
    void put(std::unique_ptr<ClientSocket> socket);

  private:
    struct Idle {
        std::unique_ptr<ClientSocket> socket;
        Clock::time_point since;
    };
    void on_events(std::uint32_t) override {}
    void on_deadline() override;
    void on_shutdown() override { poller_ = nullptr; }
    void look_at(Clock::time_point when);

    const Limits limits_;
    Poller* poller_ = nullptr;  // set with the first connection
    std::vector<Idle> idle_;    // oldest first
};

}  // namespace hearth::http
