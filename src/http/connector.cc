#include "http/connector.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/this_coro.hpp>
#include <cerrno>
#include <cstring>
#include <optional>
#include <utility>

#include "base/format.h"
#include "runtime/event.h"

namespace asio = boost::asio;

namespace hearth::http {
namespace {

// `whom`: an address or a name.
std::unexpected<Error> cannot_connect(std::string_view whom, std::string_view why) {
    return fail({.code = Code::Unavailable,
                 .message = format("cannot connect: {}: {}", whom, why),
                 .reason = "connect_failed",
                 .discreet = format("cannot connect: {}", why)});
}

// `doing`: what it did, and with whom.
std::unexpected<Error> out_of_time(const Connector::Times& times, std::string_view doing,
                                   std::string_view whom) {
    if (times.deadline.passed()) {
        return fail({.code = Code::DeadlineExceeded,
                     .message = "took longer than allowed",
                     .reason = "total_timeout"});
    }
    return fail({.code = Code::Unavailable,
                 .message = format("cannot connect: {} {} took longer than allowed", doing, whom),
                 .reason = "connect_timeout",
                 .discreet = format("cannot connect: {} it took longer than allowed", doing)});
}

std::unexpected<Error> cannot_connect(const Endpoint& endpoint, int error) {
    return cannot_connect(to_string(endpoint), std::strerror(error));
}

asio::io_context& context_of(const Awaitable<void>::executor_type& executor) {
    return static_cast<asio::io_context&>(asio::query(executor, asio::execution::context));
}

// What was sent must be acknowledged within `lost_time`, or, where all of it is, probes answered:
// else the connection ends. The kernel counts probes in whole seconds.
void watch_for_loss(int fd, std::chrono::milliseconds lost_time) {
    constexpr std::chrono::milliseconds kMost = std::chrono::hours(1);
    const int limit = int(std::clamp(lost_time, std::chrono::milliseconds(1'000), kMost).count());
    const int pause = std::max(1, limit / 4'000);
    const int on = 1;
    ::setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &limit, sizeof limit);
    ::setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    ::setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &pause, sizeof pause);
    ::setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &pause, sizeof pause);
}

// A question to the name server. It goes on when nobody waits for the answer any more, because
// getaddrinfo() cannot be interrupted: the handler and the one who waits share it.
struct Lookup {
    explicit Lookup(asio::io_context& io) : resolver(io), answered(io) {}
    asio::ip::tcp::resolver resolver;
    runtime::Event answered;
    std::optional<Result<std::vector<Endpoint>>> answer;
};

Result<std::vector<Endpoint>> answer_of(const boost::system::error_code& error,
                                        const asio::ip::tcp::resolver::results_type& found,
                                        const std::string& host) {
    if (error) return cannot_connect(host, error.message());
    std::vector<Endpoint> endpoints;
    for (const auto& entry : found) {
        const auto name = entry.endpoint();
        Endpoint endpoint;
        endpoint.size = socklen_t(name.size());
        std::memcpy(&endpoint.storage, name.data(), name.size());
        endpoints.push_back(endpoint);
    }
    return endpoints;
}

}  // namespace

Connector::Connector(const std::string& address, const ClientOptions& options)
    : address_(parse_address(address)), options_(options), name_(options.server_name) {
    if (!address_ || !options.tls || !name_.empty()) return;
    if (address_->is_unix) {
        address_ = fail(Code::InvalidArgument,
                        format("{}: TLS over a Unix socket needs a server name", address));
    } else {
        name_ = address_->host;
    }
}

Awaitable<Result<std::vector<Endpoint>>> Connector::resolve(Times times) {
    if (auto numeric = numeric_endpoints(*address_)) co_return numeric;
    auto& io = context_of(co_await asio::this_coro::executor);
    const auto lookup = std::make_shared<Lookup>(io);
    lookup->resolver.async_resolve(
        address_->host, address_->port, asio::ip::tcp::resolver::numeric_service,
        [lookup, host = address_->host](const boost::system::error_code& error,
                                        const asio::ip::tcp::resolver::results_type& found) {
            lookup->answer = answer_of(error, found, host);
            lookup->answered.notify();
        });
    co_await lookup->answered.wait_until(times.attempt.when());
    if (lookup->answer) co_return std::move(*lookup->answer);
    if (times.attempt.passed()) {
        co_return out_of_time(times, "the look-up of", address_->host);
    }
    co_return fail(Code::Cancelled, "cancelled");
}

Awaitable<Result<std::unique_ptr<ClientSocket>>> Connector::connect(Deadline deadline) {
    if (!address_) co_return fail(address_.error());
    const Times times{.deadline = deadline,
                      .attempt = deadline.earlier(Deadline::after(options_.connect_time))};
    CO_TRY(std::vector<Endpoint> endpoints, co_await resolve(times));
    co_return co_await connect_to_any(std::move(endpoints), times);
}

Awaitable<Result<std::unique_ptr<ClientSocket>>> Connector::connect_to_any(
    std::vector<Endpoint> endpoints, Times times) {
    Result<std::unique_ptr<ClientSocket>> last =
        cannot_connect(address_->host, "the name has no address");
    for (std::size_t i = 0; i < endpoints.size(); ++i) {
        const auto part = times.attempt.left() / (endpoints.size() - i);
        last = co_await connect_to(
            endpoints[i],
            {.deadline = times.deadline, .attempt = times.attempt.earlier(Deadline::after(part))});
        if (last || last.error().code != Code::Unavailable || times.attempt.passed()) break;
        // Another address of the same name will not have another certificate.
        if (last.error().reason == "tls_certificate") break;
    }
    co_return last;
}

Awaitable<Result<std::unique_ptr<ClientSocket>>> Connector::connect_to(Endpoint endpoint,
                                                                       Times times) {
    const int family = endpoint.storage.ss_family;
    UniqueFd fd(::socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    if (!fd) co_return cannot_connect(endpoint, errno);
    const int on = 1;
    if (family != AF_UNIX) ::setsockopt(fd.value(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (family != AF_UNIX && options_.lost_time) watch_for_loss(fd.value(), *options_.lost_time);
    const int status =
        ::connect(fd.value(), reinterpret_cast<const sockaddr*>(&endpoint.storage), endpoint.size);
    if (status != 0 && errno != EINPROGRESS) co_return cannot_connect(endpoint, errno);
    auto& poller = Poller::of(context_of(co_await asio::this_coro::executor));
    const auto state = status == 0 ? Socket::State::Connected : Socket::State::Connecting;
    auto client_socket = std::make_unique<ClientSocket>(poller, std::move(fd), state, open_);
    Socket& socket = client_socket->socket();
    if (!socket.registered()) co_return cannot_connect(endpoint, EMFILE);
    if (state == Socket::State::Connecting) {
        switch (co_await socket.wait_writable(times.attempt.when())) {
            case Wake::Ready: break;
            case Wake::Cancelled: co_return fail(Code::Cancelled, "cancelled");
            case Wake::TimedOut: co_return out_of_time(times, "reaching", to_string(endpoint));
        }
        int error = 0;
        socklen_t size = sizeof error;
        ::getsockopt(socket.fd(), SOL_SOCKET, SO_ERROR, &error, &size);
        if (error != 0) co_return cannot_connect(endpoint, error);
    }
    if (options_.tls) CO_TRY_VOID(co_await secure(*client_socket, times));
    co_return client_socket;
}

Awaitable<Result<void>> Connector::secure(ClientSocket& socket, Times times) {
    CO_TRY(auto session, TlsSession::make(*options_.tls, socket.socket(), tickets_, name_));
    TlsSession& tls = socket.secure(std::move(session));
    for (;;) {
        const TlsSession::Step step = tls.handshake();
        if (step == TlsSession::Step::Done) co_return Result<void>();
        if (step == TlsSession::Step::Failed) co_return fail(*tls.failure());
        const auto until = times.attempt.when();
        const Wake wake = step == TlsSession::Step::WantsRead
                              ? co_await socket.socket().wait_readable(until)
                              : co_await socket.socket().wait_writable(until);
        if (wake == Wake::Cancelled) co_return fail(Code::Cancelled, "cancelled");
        if (wake == Wake::TimedOut) {
            co_return out_of_time(times, "the TLS handshake with", name_);
        }
        // A peer that sends without end must not outlive its time either.
        if (times.attempt.passed()) {
            co_return out_of_time(times, "the TLS handshake with", name_);
        }
    }
}

}  // namespace hearth::http
