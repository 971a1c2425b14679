#include "http/client_pool.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cerrno>
#include <cstring>
#include <utility>

#include "base/format.h"

namespace asio = boost::asio;

namespace hearth::http {
namespace {

constexpr std::size_t kSpareBuffersMax = 4;

std::unexpected<Error> cannot_connect(std::string_view why) {
    return fail(Error{.code = Code::Unavailable,
                      .message = format("cannot connect: {}", why),
                      .reason = "sent_no_byte"});
}

Awaitable<Result<std::vector<Endpoint>>> ask_name_server(Address address) {
    asio::ip::tcp::resolver resolver(co_await asio::this_coro::executor);
    const auto [error, found] = co_await resolver.async_resolve(
        address.host, address.port, asio::as_tuple(asio::use_awaitable));
    if (error) co_return cannot_connect(error.message());
    std::vector<Endpoint> endpoints;
    for (const auto& entry : found) {
        const auto name = entry.endpoint();
        Endpoint endpoint;
        endpoint.size = socklen_t(name.size());
        std::memcpy(&endpoint.storage, name.data(), name.size());
        endpoints.push_back(endpoint);
    }
    co_return endpoints;
}

}  // namespace

std::unique_ptr<Socket> ClientPool::take_idle() {
    const auto oldest = Pollable::Clock::now() - options_.idle_time;
    while (!idle_.empty()) {
        Idle last = std::move(idle_.back());
        idle_.pop_back();
        if (last.since < oldest) {
            idle_.clear();  // the others are older still
            break;
        }
        // The poller has already noticed most that the server closed.
        if (!last.socket->readable() && !last.socket->peer_closed()) return std::move(last.socket);
    }
    return nullptr;
}

void ClientPool::put_idle(std::unique_ptr<Socket> socket) {
    if (socket->readable()) {
        char byte = 0;
        if (socket->read(&byte, 1).io != Socket::Io::WouldBlock) return;
    }
    if (options_.idle_connections_max == 0) return;
    if (idle_.size() >= options_.idle_connections_max) idle_.erase(idle_.begin());
    idle_.push_back({.socket = std::move(socket), .since = Pollable::Clock::now()});
}

std::unique_ptr<ClientPool::Buffer> ClientPool::lend_buffer() {
    if (spare_buffers_.empty()) return std::make_unique_for_overwrite<Buffer>();
    auto buffer = std::move(spare_buffers_.back());
    spare_buffers_.pop_back();
    return buffer;
}

void ClientPool::take_back(std::unique_ptr<Buffer> buffer) {
    if (spare_buffers_.size() < kSpareBuffersMax) spare_buffers_.push_back(std::move(buffer));
}

Awaitable<Result<std::vector<Endpoint>>> ClientPool::resolve(Deadline deadline) {
    if (auto numeric = numeric_endpoints(*address_)) co_return numeric;
    co_return co_await with_deadline(deadline, ask_name_server(*address_));
}

Awaitable<Result<std::unique_ptr<Socket>>> ClientPool::connect(Deadline deadline) {
    if (!address_) co_return fail(address_.error());
    const Deadline attempt = deadline.earlier(Deadline::after(options_.connect_time));
    CO_TRY(const std::vector<Endpoint> endpoints, co_await resolve(attempt));
    Result<std::unique_ptr<Socket>> last = cannot_connect("the name has no address");
    for (const Endpoint& endpoint : endpoints) {
        last = co_await connect_to(endpoint, deadline, attempt);
        if (last || last.error().code != Code::Unavailable || attempt.passed()) break;
    }
    co_return last;
}

Awaitable<Result<std::unique_ptr<Socket>>> ClientPool::connect_to(Endpoint endpoint,
                                                                  Deadline deadline,
                                                                  Deadline attempt) {
    const int family = endpoint.storage.ss_family;
    UniqueFd fd(::socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    if (!fd) co_return cannot_connect(std::strerror(errno));
    const int on = 1;
    if (family != AF_UNIX) ::setsockopt(fd.value(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    const int status =
        ::connect(fd.value(), reinterpret_cast<const sockaddr*>(&endpoint.storage), endpoint.size);
    if (status != 0 && errno != EINPROGRESS) co_return cannot_connect(std::strerror(errno));
    auto& context = asio::query(co_await asio::this_coro::executor, asio::execution::context);
    auto& poller = Poller::of(static_cast<asio::io_context&>(context));
    const auto state = status == 0 ? Socket::State::Connected : Socket::State::Connecting;
    auto socket = std::make_unique<Socket>(poller, std::move(fd), state);
    if (!socket->registered()) co_return cannot_connect("too many descriptors");
    if (state == Socket::State::Connecting) {
        switch (co_await socket->wait_writable(attempt.when())) {
            case Wake::Ready: break;
            case Wake::Cancelled: co_return fail(Code::Cancelled, "cancelled");
            case Wake::TimedOut:
                if (!deadline.passed()) co_return cannot_connect("no answer in time");
                co_return fail(Code::DeadlineExceeded, "took longer than allowed");
        }
        int error = 0;
        socklen_t size = sizeof error;
        ::getsockopt(socket->fd(), SOL_SOCKET, SO_ERROR, &error, &size);
        if (error != 0) co_return cannot_connect(std::strerror(error));
    }
    co_return socket;
}

}  // namespace hearth::http
