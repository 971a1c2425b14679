#pragma once

#include <sys/socket.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/unique_fd.h"

namespace hearth::http {

// "HOST:PORT", "[V6]:PORT" or "unix:PATH", taken apart.
struct Address {
    bool is_unix = false;
    std::string host;  // or the path
    std::string port;
};

// Error: InvalidArgument.
Result<Address> parse_address(std::string_view text);

// An address as the kernel wants it.
struct Endpoint {
    sockaddr_storage storage{};
    socklen_t size = 0;
};

// For "unix:" and numeric hosts; never asks a name server. Error: NotFound for names.
Result<std::vector<Endpoint>> numeric_endpoints(const Address& address);
// Also for names; blocks. Error: Unavailable.
Result<std::vector<Endpoint>> resolve_blocking(const Address& address);

// "127.0.0.1:80", "[::1]:80", "unix:PATH"; "unix" for an unnamed Unix socket.
std::string to_string(const Endpoint& endpoint);

struct Listening {
    std::vector<UniqueFd> sockets;  // one per shard
    std::string address;            // as bound
    std::string unix_path;          // to unlink at the end, or empty
};

// Binds `count` sockets to one address, which the kernel balances (SO_REUSEPORT); a Unix socket is
// one, duplicated. A Unix socket file that nobody serves any more is replaced. Errors:
// InvalidArgument, Unavailable (in use, or not permitted).
Result<Listening> listen_on(const std::string& address, std::size_t count);

}  // namespace hearth::http
