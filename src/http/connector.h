#pragma once

// Internal to http/: includes Asio.
#include <memory>
#include <string>
#include <vector>

#include "http/address.h"
#include "http/client.h"
#include "http/client_socket.h"

namespace hearth::http {

// Makes the connections of one client, TLS included. Shard-local; outlives its connections.
class Connector {
  public:
    // `options` outlive it.
    Connector(const std::string& address, const ClientOptions& options);

    const Result<Address>& address() const { return address_; }
    // There are so many now, whoever has them.
    std::size_t open() const { return open_; }

    // Errors: as of Client, where no connection came about; DeadlineExceeded, Cancelled.
    Awaitable<Result<std::unique_ptr<ClientSocket>>> connect(Deadline deadline);

    struct Times {
        Deadline deadline;  // the caller's
        Deadline attempt;   // of connecting, at most the former
    };
    // Tries one after the other; each gets an equal part of the time that is left, so that a dead
    // one cannot use it all.
    Awaitable<Result<std::unique_ptr<ClientSocket>>> connect_to_any(std::vector<Endpoint> endpoints,
                                                                    Times times);

  private:
    Awaitable<Result<std::vector<Endpoint>>> resolve(Times times);
    Awaitable<Result<std::unique_ptr<ClientSocket>>> connect_to(Endpoint endpoint, Times times);
    Awaitable<Result<void>> secure(ClientSocket& socket, Times times);

    Result<Address> address_;
    const ClientOptions& options_;
    std::string name_;  // of the server, for TLS
    TlsTickets tickets_;
    std::size_t open_ = 0;
};

}  // namespace hearth::http
