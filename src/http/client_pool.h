#pragma once

// Internal to http/: includes Asio.
#include <array>
#include <memory>
#include <string>
#include <vector>

#include "http/address.h"
#include "http/client.h"
#include "http/socket.h"

namespace hearth::http {

// The connections of one client that wait for their next request, newest first used.
class ClientPool {
  public:
    static constexpr std::size_t kReceiveSize = 64 << 10;
    using Buffer = std::array<char, kReceiveSize>;

    ClientPool(const std::string& address, ClientOptions options)
        : address_(parse_address(address)), options_(options) {}

    const ClientOptions& options() const { return options_; }
    const Result<Address>& address() const { return address_; }

    // One that is still open as far as is known, or null.
    std::unique_ptr<Socket> take_idle();
    void put_idle(std::unique_ptr<Socket> socket);
    // Errors: Unavailable, DeadlineExceeded, Cancelled.
    Awaitable<Result<std::unique_ptr<Socket>>> connect(Deadline deadline);

    std::unique_ptr<Buffer> lend_buffer();
    void take_back(std::unique_ptr<Buffer> buffer);

  private:
    struct Idle {
        std::unique_ptr<Socket> socket;
        Pollable::Clock::time_point since;
    };
    Awaitable<Result<std::vector<Endpoint>>> resolve(Deadline deadline);
    Awaitable<Result<std::unique_ptr<Socket>>> connect_to(Endpoint endpoint, Deadline deadline,
                                                          Deadline attempt);

    Result<Address> address_;
    ClientOptions options_;
    std::vector<Idle> idle_;
    std::vector<std::unique_ptr<Buffer>> spare_buffers_;
};

}  // namespace hearth::http
