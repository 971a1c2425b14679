#include "http/server_shard.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <boost/asio/post.hpp>
#include <cerrno>
#include <cstring>
#include <utility>

#include "http/address.h"
#include "telemetry/log.h"

namespace asio = boost::asio;

namespace hearth::http {
namespace {

constexpr int kAcceptsPerTurn = 64;
constexpr std::chrono::milliseconds kAcceptPause{100};
constexpr std::size_t kSpareReadersMax = 64;

// Answered without reading: there is no room for a connection.
void turn_away(int fd) {
    static constexpr std::string_view kBody =
        R"({"error":{"message":"too many connections","type":"overloaded_error","param":null,"code":null}})";
    static const std::string reply =
        "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nRetry-After: 1\r\n"
        "Connection: close\r\nContent-Length: " +
        std::to_string(kBody.size()) + "\r\n\r\n" + std::string(kBody);
    // What has come already is taken, or closing would reset the connection and lose the answer.
    char unread[4096];
    while (::recv(fd, unread, sizeof unread, MSG_DONTWAIT) > 0) {
    }
    (void)!::send(fd, reply.data(), reply.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    ::shutdown(fd, SHUT_WR);
}

bool out_of_resources(int error) {
    return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM;
}

}  // namespace

Listener::Listener(ServerShard& shard, UniqueFd fd) : shard_(shard), fd_(std::move(fd)) {
    // Exclusive: of the shards that share a Unix socket only one wakes per connection.
    watching_ = shard_.poller().add(*this, fd_.value(), EPOLLIN | EPOLLEXCLUSIVE);
    if (!watching_) pause();
}

Listener::~Listener() {
    if (!shut_down_) shard_.poller().remove(*this, watching_ ? fd_.value() : -1);
}

void Listener::on_events(std::uint32_t) {
    for (int i = 0; i < kAcceptsPerTurn; ++i) {
        if (!accept_one()) return;
    }
}

// False: there is none now.
bool Listener::accept_one() {
    Endpoint peer;
    peer.size = sizeof peer.storage;
    UniqueFd fd(::accept4(fd_.value(), reinterpret_cast<sockaddr*>(&peer.storage), &peer.size,
                          SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (fd) {
        shard_.accepted(std::move(fd), to_string(peer));
        return true;
    }
    if (out_of_resources(errno)) {
        log::warn("cannot accept, pausing error=\"{}\"", std::strerror(errno));
        pause();
        return false;
    }
    // The client may have gone again (ECONNABORTED, EPROTO ...): the next one is not affected.
    return errno != EAGAIN && errno != EINVAL && errno != EBADF;
}

// The set is level-triggered here: without a pause the shard would spin until descriptors are free
// again.
void Listener::pause() {
    if (std::exchange(watching_, false)) shard_.poller().remove(*this, fd_.value());
    shard_.poller().add(*this);
    deadline = Clock::now() + kAcceptPause;
    shard_.poller().watch(deadline);
}

void Listener::on_deadline() {
    shard_.poller().remove(*this, -1);
    watching_ = shard_.poller().add(*this, fd_.value(), EPOLLIN | EPOLLEXCLUSIVE);
    if (!watching_) pause();
}

ServerShard::ServerShard(asio::io_context& io, ServerCommon& common)
    : io_(io),
      common_(common),
      poller_(Poller::of(io)),
      receive_buffer_(std::make_unique<std::array<char, kReceiveSize>>()),
      grace_timer_(io),
      tasks_(io) {}

ServerShard::~ServerShard() = default;

void ServerShard::listen(UniqueFd fd) {
    if (!draining_) listeners_.emplace_back(*this, std::move(fd));
}

void ServerShard::accepted(UniqueFd fd, std::string peer) {
    if (common_.connections.load(std::memory_order_relaxed) >= common_.options.connections_max) {
        turn_away(fd.value());
        return;
    }
    const int on = 1;
    if (peer != "unix") ::setsockopt(fd.value(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    const runtime::TaskId task = tasks_.next_id();
    tasks_.spawn("connection", serve_task(std::move(fd), std::move(peer), task));
}

Awaitable<void> ServerShard::serve_task(UniqueFd fd, std::string peer, runtime::TaskId task) {
    Connection connection(*this, {.fd = std::move(fd), .peer = std::move(peer), .task = task});
    if (connection.registered()) co_await connection.run();
}

void ServerShard::enter(Connection& connection) {
    common_.connections.fetch_add(1, std::memory_order_relaxed);
    connection.next_ = first_;
    if (first_) first_->previous_ = &connection;
    first_ = &connection;
}

void ServerShard::leave(Connection& connection) {
    common_.connections.fetch_sub(1, std::memory_order_relaxed);
    if (connection.next_) connection.next_->previous_ = connection.previous_;
    if (connection.previous_) connection.previous_->next_ = connection.next_;
    if (first_ == &connection) first_ = connection.next_;
    std::erase(to_flush_, &connection);
}

std::unique_ptr<RequestReader> ServerShard::lend_reader() {
    if (spare_readers_.empty()) {
        return std::make_unique<RequestReader>(
            ReadLimits{.header_bytes_max = common_.options.header_bytes_max,
                       .body_bytes_max = common_.options.body_bytes_max,
                       .streams_body = &common_.options.streams_body});
    }
    auto reader = std::move(spare_readers_.back());
    spare_readers_.pop_back();
    return reader;
}

void ServerShard::take_back(std::unique_ptr<RequestReader> reader) {
    if (!reader->untouched() || spare_readers_.size() >= kSpareReadersMax) return;
    reader->shrink();
    spare_readers_.push_back(std::move(reader));
}

void ServerShard::flush_soon(Connection& connection) {
    if (!std::exchange(connection.flush_due_, true)) to_flush_.push_back(&connection);
    if (std::exchange(flush_posted_, true)) return;
    asio::post(io_, [this] { flush_all(); });
}

void ServerShard::flush_all() {
    flush_posted_ = false;
    for (Connection* connection : std::exchange(to_flush_, {})) connection->flush_now();
}

void ServerShard::drain(std::chrono::milliseconds grace, std::move_only_function<void()> done) {
    draining_ = true;
    listeners_.clear();
    for (Connection* connection = first_; connection; connection = connection->next_) {
        connection->close_if_idle();
    }
    grace_timer_.expires_after(grace);
    grace_timer_.async_wait([this](const boost::system::error_code& error) {
        if (!error) tasks_.cancel_all();
    });
    tasks_.when_empty([this, done = std::move(done)]() mutable {
        grace_timer_.cancel();
        // Once more around: what was posted for this shard before runs before it may be destroyed.
        asio::post(io_, std::move(done));
    });
}

}  // namespace hearth::http
