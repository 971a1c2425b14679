#pragma once

// Internal to http/: includes Asio.
#include <array>
#include <memory>
#include <string>
#include <vector>

#include "http/connector.h"
#include "http/idle_connections.h"

namespace hearth::http {

// What the calls of one client share. Shard-local.
class ClientPool {
  public:
    static constexpr std::size_t kReceiveSize = 64 << 10;
    using Buffer = std::array<char, kReceiveSize>;

    ClientPool(const std::string& address, ClientOptions options)
        : options_(std::move(options)),
          connector_(address, options_),
          idle_({.connections_max = options_.idle_connections_max, .time = options_.idle_time}) {}

    const ClientOptions& options() const { return options_; }
    Connector& connector() { return connector_; }
    IdleConnections& idle() { return idle_; }

    std::unique_ptr<Buffer> lend_buffer() {
        if (spare_buffers_.empty()) return std::make_unique_for_overwrite<Buffer>();
        auto buffer = std::move(spare_buffers_.back());
        spare_buffers_.pop_back();
        return buffer;
    }
    void take_back(std::unique_ptr<Buffer> buffer) {
        if (spare_buffers_.size() < kSpareBuffersMax) spare_buffers_.push_back(std::move(buffer));
    }

  private:
    static constexpr std::size_t kSpareBuffersMax = 4;

    const ClientOptions options_;
    Connector connector_;
    IdleConnections idle_;  // goes before the connector that counts them
    std::vector<std::unique_ptr<Buffer>> spare_buffers_;
};

}  // namespace hearth::http
