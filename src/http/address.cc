#include "http/address.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstddef>
#include <cstring>

#include "base/format.h"

namespace hearth::http {
namespace {

constexpr int kBacklog = 4096;
constexpr std::string_view kUnix = "unix:";

std::unexpected<Error> system_error(std::string_view what, const std::string& address) {
    return fail(Code::Unavailable, format("{} {}: {}", what, address, std::strerror(errno)));
}

Endpoint unix_endpoint(const std::string& path) {
    Endpoint endpoint;
    sockaddr_un name{};
    name.sun_family = AF_UNIX;
    path.copy(name.sun_path, sizeof name.sun_path - 1);
    std::memcpy(&endpoint.storage, &name, sizeof name);
    endpoint.size = socklen_t(offsetof(sockaddr_un, sun_path) + path.size() + 1);
    return endpoint;
}

Result<std::vector<Endpoint>> look_up(const Address& address, int flags, Code failure) {
    if (address.is_unix) return std::vector{unix_endpoint(address.host)};
    addrinfo hints{};
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = flags | AI_NUMERICSERV;
    addrinfo* found = nullptr;
    const char* host = address.host.empty() ? nullptr : address.host.c_str();
    const int status = ::getaddrinfo(host, address.port.c_str(), &hints, &found);
    if (status != 0) {
        return fail(failure, format("{}: {}", address.host, ::gai_strerror(status)));
    }
    std::vector<Endpoint> endpoints;
    for (const addrinfo* entry = found; entry; entry = entry->ai_next) {
        Endpoint endpoint;
        std::memcpy(&endpoint.storage, entry->ai_addr, entry->ai_addrlen);
        endpoint.size = entry->ai_addrlen;
        endpoints.push_back(endpoint);
    }
    ::freeaddrinfo(found);
    // "localhost" is both; what people type next to it is 127.0.0.1.
    std::ranges::partition(endpoints,
                           [](const Endpoint& e) { return e.storage.ss_family != AF_INET6; });
    return endpoints;
}

Result<Endpoint> name_of(int fd) {
    Endpoint endpoint;
    endpoint.size = sizeof endpoint.storage;
    if (::getsockname(fd, reinterpret_cast<sockaddr*>(&endpoint.storage), &endpoint.size) != 0) {
        return fail(Code::Internal, "getsockname failed");
    }
    return endpoint;
}

struct BindOptions {
    bool share_port = false;
};

Result<UniqueFd> bind_to(const Endpoint& endpoint, const std::string& address,
                         BindOptions options) {
    const int family = endpoint.storage.ss_family;
    UniqueFd fd(::socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    if (!fd) return system_error("cannot listen on", address);
    const int on = 1;
    if (family == AF_UNIX) {
        ::fchmod(fd.value(), 0600);  // the mode the socket file is made with
    } else {
        ::setsockopt(fd.value(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
        if (family == AF_INET6) ::setsockopt(fd.value(), IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
        if (options.share_port) {
            ::setsockopt(fd.value(), SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
        }
    }
    if (::bind(fd.value(), reinterpret_cast<const sockaddr*>(&endpoint.storage), endpoint.size) !=
        0) {
        return system_error("cannot listen on", address);
    }
    return fd;
}

// Removes a socket file that a process no longer alive has left behind.
Result<void> clear_stale(const std::string& path, const std::string& address) {
    struct stat info{};
    if (::lstat(path.c_str(), &info) != 0) return {};
    if (!S_ISSOCK(info.st_mode)) {
        return fail(Code::InvalidArgument, format("{}: the file exists and is no socket", path));
    }
    const Endpoint endpoint = unix_endpoint(path);
    UniqueFd probe(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    const int status = ::connect(
        probe.value(), reinterpret_cast<const sockaddr*>(&endpoint.storage), endpoint.size);
    if (status == 0 || errno == EAGAIN) {
        return fail(Code::Unavailable,
                    format("cannot listen on {}: another process does", address));
    }
    if (errno != ECONNREFUSED) return system_error("cannot listen on", address);
    ::unlink(path.c_str());
    return {};
}

Result<Listening> listen_unix(const Address& address, const std::string& text, std::size_t count) {
    TRY_VOID(clear_stale(address.host, text));
    TRY(UniqueFd first, bind_to(unix_endpoint(address.host), text, {}));
    ::chmod(address.host.c_str(), 0600);
    if (::listen(first.value(), kBacklog) != 0) return system_error("cannot listen on", text);
    Listening listening{.sockets = {}, .address = text, .unix_path = address.host};
    listening.sockets.push_back(std::move(first));
    while (listening.sockets.size() < count) {
        UniqueFd copy(::fcntl(listening.sockets[0].value(), F_DUPFD_CLOEXEC, 0));
        if (!copy) return system_error("cannot listen on", text);
        listening.sockets.push_back(std::move(copy));
    }
    return listening;
}

}  // namespace

Result<Address> parse_address(std::string_view text) {
    Address address;
    if (text.starts_with(kUnix)) {
        address.is_unix = true;
        address.host = text.substr(kUnix.size());
        if (address.host.empty() || address.host.size() >= sizeof(sockaddr_un::sun_path) ||
            address.host.contains('\0')) {
            return fail(Code::InvalidArgument,
                        format("{}: a Unix socket path has 1 to 107 bytes", text));
        }
        return address;
    }
    const std::size_t colon = text.rfind(':');
    std::string_view host = text.substr(0, std::min(colon, text.size()));
    const bool bracketed = host.starts_with('[') && host.ends_with(']');
    if (bracketed) host = host.substr(1, host.size() - 2);
    unsigned port = 65'536;
    if (colon != text.npos) {
        const char* end = text.data() + text.size();
        const auto [stop, error] = std::from_chars(text.data() + colon + 1, end, port);
        if (error != std::errc() || stop != end) port = 65'536;
    }
    if (port > 65'535 || host.contains(':') != bracketed || host.contains('\0')) {
        return fail(Code::InvalidArgument,
                    format("{}: an address is HOST:PORT, [V6]:PORT or unix:PATH", text));
    }
    address.host = host;
    address.port = std::to_string(port);
    return address;
}

Result<std::vector<Endpoint>> numeric_endpoints(const Address& address) {
    if (address.host == "localhost") {
        return look_up({.is_unix = false, .host = "127.0.0.1", .port = address.port},
                       AI_NUMERICHOST, Code::NotFound);
    }
    return look_up(address, AI_NUMERICHOST, Code::NotFound);
}

Result<std::vector<Endpoint>> resolve_blocking(const Address& address) {
    return look_up(address, AI_PASSIVE, Code::Unavailable);
}

std::string to_string(const Endpoint& endpoint) {
    char text[INET6_ADDRSTRLEN] = {};
    if (endpoint.storage.ss_family == AF_INET) {
        sockaddr_in name{};
        std::memcpy(&name, &endpoint.storage, sizeof name);
        ::inet_ntop(AF_INET, &name.sin_addr, text, sizeof text);
        return format("{}:{}", text, ntohs(name.sin_port));
    }
    if (endpoint.storage.ss_family == AF_INET6) {
        sockaddr_in6 name{};
        std::memcpy(&name, &endpoint.storage, sizeof name);
        ::inet_ntop(AF_INET6, &name.sin6_addr, text, sizeof text);
        return format("[{}]:{}", text, ntohs(name.sin6_port));
    }
    return "unix";
}

Result<Listening> listen_on(const std::string& text, std::size_t count) {
    TRY(const Address address, parse_address(text));
    if (address.is_unix) return listen_unix(address, text, count);
    TRY(const std::vector<Endpoint> endpoints, resolve_blocking(address));
    Endpoint endpoint = endpoints.front();
    // Sharing ports would also let a second server of the same user in silently: one socket that
    // does not share is bound first, and fails when the port is taken. For port 0 it finds a free
    // one.
    {
        TRY(const UniqueFd probe, bind_to(endpoint, text, {}));
        if (::listen(probe.value(), 1) != 0) return system_error("cannot listen on", text);
        TRY(endpoint, name_of(probe.value()));
    }
    Listening listening{.sockets = {}, .address = to_string(endpoint), .unix_path = {}};
    while (listening.sockets.size() < count) {
        TRY(UniqueFd fd, bind_to(endpoint, text, {.share_port = true}));
        if (::listen(fd.value(), kBacklog) != 0) return system_error("cannot listen on", text);
        listening.sockets.push_back(std::move(fd));
    }
    return listening;
}

}  // namespace hearth::http
