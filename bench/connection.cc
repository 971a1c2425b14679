#include "connection.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <stdexcept>

namespace hearth::bench {
namespace {

constexpr int kReopensMax = 3;

[[noreturn]] void throw_errno(const std::string& what) {
    throw std::runtime_error(what + ": " + std::strerror(errno));
}

bool equals_without_case(std::string_view a, std::string_view b) {
    return std::ranges::equal(a, b, [](char x, char y) {
        return std::tolower(static_cast<unsigned char>(x)) ==
               std::tolower(static_cast<unsigned char>(y));
    });
}

// The value of a header field in `head`, or empty.
std::string_view find_field(std::string_view head, std::string_view name) {
    std::size_t line = head.find("\r\n");
    while (line != std::string_view::npos && line + 2 < head.size()) {
        const std::size_t begin = line + 2;
        const std::size_t end = std::min(head.find("\r\n", begin), head.size());
        const std::string_view field = head.substr(begin, end - begin);
        const std::size_t colon = field.find(':');
        if (colon != std::string_view::npos && equals_without_case(field.substr(0, colon), name)) {
            std::string_view value = field.substr(colon + 1);
            while (!value.empty() && value.front() == ' ') value.remove_prefix(1);
            return value;
        }
        line = head.find("\r\n", begin);
    }
    return {};
}

UniqueFd connect_unix(const std::string& path) {
    UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un name{};
    name.sun_family = AF_UNIX;
    if (path.size() >= sizeof(name.sun_path)) throw std::runtime_error("socket path too long");
    std::memcpy(name.sun_path, path.c_str(), path.size() + 1);
    if (!fd || ::connect(fd.value(), reinterpret_cast<sockaddr*>(&name), sizeof(name)) != 0)
        throw_errno("connect to " + path);
    return fd;
}

}  // namespace

UniqueFd connect_to(const std::string& address) {
    if (address.starts_with("unix:")) return connect_unix(address.substr(5));
    const std::size_t colon = address.rfind(':');
    if (colon == std::string::npos)
        throw std::runtime_error("address is not HOST:PORT: " + address);
    sockaddr_in name{};
    name.sin_family = AF_INET;
    name.sin_port = htons(static_cast<std::uint16_t>(std::stoi(address.substr(colon + 1))));
    if (::inet_pton(AF_INET, address.substr(0, colon).c_str(), &name.sin_addr) != 1)
        throw std::runtime_error("not an IPv4 address: " + address);
    UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (!fd || ::connect(fd.value(), reinterpret_cast<sockaddr*>(&name), sizeof(name)) != 0)
        throw_errno("connect to " + address);
    const int on = 1;
    ::setsockopt(fd.value(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    return fd;
}

Poller::Poller() : epoll_(::epoll_create1(EPOLL_CLOEXEC)) {
    if (!epoll_) throw_errno("epoll_create1");
}

void Poller::add(int fd, Connection* connection) {
    epoll_event event{.events = EPOLLIN, .data = {.ptr = connection}};
    if (::epoll_ctl(epoll_.value(), EPOLL_CTL_ADD, fd, &event) != 0) throw_errno("epoll_ctl");
}

void Poller::rewatch(int fd, Connection* connection, bool for_write) {
    epoll_event event{.events = EPOLLIN | (for_write ? std::uint32_t{EPOLLOUT} : 0U),
                      .data = {.ptr = connection}};
    if (::epoll_ctl(epoll_.value(), EPOLL_CTL_MOD, fd, &event) != 0) throw_errno("epoll_ctl");
}

const std::vector<Connection*>& Poller::wait(std::chrono::milliseconds wait_max) {
    epoll_event events[256];
    int count = 0;
    do {
        count = ::epoll_wait(epoll_.value(), events, 256, static_cast<int>(wait_max.count()));
    } while (count < 0 && errno == EINTR);
    if (count < 0) throw_errno("epoll_wait");
    if (count == 0) throw std::runtime_error("the server has been silent for too long");
    ready_.clear();
    for (int i = 0; i < count; ++i) ready_.push_back(static_cast<Connection*>(events[i].data.ptr));
    return ready_;
}

Connection::Connection(const std::string& address, Poller& poller)
    : address_(address), poller_(poller) {
    open();
}

void Connection::open() {
    fd_ = connect_to(address_);
    const int flags = ::fcntl(fd_.value(), F_GETFL);
    if (::fcntl(fd_.value(), F_SETFL, flags | O_NONBLOCK) != 0) throw_errno("fcntl");
    poller_.add(fd_.value(), this);
    watching_write_ = closes_ = false;
}

void Connection::reopen() {
    if (in_body_ || !head_.empty()) throw std::runtime_error("the server closed inside a reply");
    if (++reopened_ > kReopensMax) throw std::runtime_error("the server closed the connection");
    open();
    restart_message();
    write_some();
}

void Connection::begin(const PreparedRequest& request) {
    request_ = &request;
    started_ = std::chrono::steady_clock::now();
    reopened_ = 0;
    waiting_ = true;
    if (closes_) open();
    restart_message();
    write_some();
}

void Connection::restart_message() {
    first_ns_ = 0;
    written_ = 0;
    head_.clear();
    body_.clear();
    chunk_line_.clear();
    in_body_ = last_chunk_ = false;
    left_ = 0;
}

bool Connection::advance() {
    if (!waiting_) {  // nothing was asked: the server ends the connection
        fd_.reset();
        closes_ = true;
        return false;
    }
    if (written_ < request_->wire.size()) write_some();
    if (!read_some()) return false;
    waiting_ = false;
    latency_ns_ = ns_since_start();
    return true;
}

std::uint64_t Connection::ns_since_start() const {
    return static_cast<std::uint64_t>(
        std::chrono::nanoseconds(std::chrono::steady_clock::now() - started_).count());
}

void Connection::write_some() {
    const std::string& wire = request_->wire;
    while (written_ < wire.size()) {
        const ssize_t n =
            ::send(fd_.value(), wire.data() + written_, wire.size() - written_, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0 && errno == EAGAIN) break;
        if (n < 0) return;  // closed: reading tells
        written_ += static_cast<std::size_t>(n);
    }
    const bool more = written_ < wire.size();
    if (more == watching_write_) return;
    watching_write_ = more;
    poller_.rewatch(fd_.value(), this, more);
}

bool Connection::read_some() {
    char buffer[64 << 10];
    for (;;) {
        const ssize_t n = ::recv(fd_.value(), buffer, sizeof(buffer), 0);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0 && errno == EAGAIN) return false;
        if (n <= 0) {
            reopen();
            return false;
        }
        if (consume({buffer, static_cast<std::size_t>(n)})) return true;
        if (static_cast<std::size_t>(n) < sizeof(buffer)) return false;
    }
}

bool Connection::consume(std::string_view bytes) {
    if (!in_body_) {
        head_.append(bytes);
        const std::size_t blank = head_.find("\r\n\r\n");
        if (blank == std::string::npos) return false;
        const std::string rest = head_.substr(blank + 4);
        head_.resize(blank + 2);
        if (parse_head()) return true;
        return rest.empty() ? false : consume(rest);
    }
    if (first_ns_ == 0 && (!events_ || bytes.contains("data:"))) first_ns_ = ns_since_start();
    if (framing_ == Framing::Chunked) return consume_chunked(bytes);
    if (bytes.size() > left_) throw std::runtime_error("the reply is longer than it said");
    left_ -= bytes.size();
    if (keep_body_) body_.append(bytes);
    return left_ == 0;
}

bool Connection::parse_head() {
    if (!head_.starts_with("HTTP/1.1 200")) {
        throw std::runtime_error("unexpected reply: " + head_.substr(0, head_.find("\r\n")));
    }
    in_body_ = true;
    events_ = find_field(head_, "content-type").contains("event-stream");
    closes_ = equals_without_case(find_field(head_, "connection"), "close");
    if (find_field(head_, "transfer-encoding").contains("chunked")) {
        framing_ = Framing::Chunked;
        return false;
    }
    framing_ = Framing::Length;
    const std::string_view length = find_field(head_, "content-length");
    if (std::from_chars(length.data(), length.data() + length.size(), left_).ec != std::errc{})
        throw std::runtime_error("the reply has no length");
    return left_ == 0;
}

bool Connection::consume_chunked(std::string_view bytes) {
    while (!bytes.empty()) {
        if (left_ > 0) {
            const std::size_t n = std::min<std::size_t>(left_, bytes.size());
            const std::size_t data = left_ > 2 ? std::min<std::size_t>(n, left_ - 2) : 0;
            if (keep_body_ && !last_chunk_) body_.append(bytes.substr(0, data));
            left_ -= n;
            bytes.remove_prefix(n);
            if (last_chunk_ && left_ == 0) return true;
            continue;
        }
        const std::size_t end = bytes.find('\n');
        chunk_line_.append(bytes.substr(0, end));
        if (end == std::string_view::npos) return false;
        bytes.remove_prefix(end + 1);
        std::uint64_t size = 0;
        if (std::from_chars(chunk_line_.data(), chunk_line_.data() + chunk_line_.size(), size, 16)
                .ec != std::errc{})
            throw std::runtime_error("malformed chunk");
        chunk_line_.clear();
        last_chunk_ = size == 0;
        left_ = size + 2;
    }
    return false;
}

}  // namespace hearth::bench
