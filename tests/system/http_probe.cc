#include "http_probe.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <sstream>
#include <stdexcept>

#include "base/format.h"

namespace hearth::system_test {
namespace {

[[noreturn]] void fail_errno(const std::string& what) {
    throw std::runtime_error(what + ": " + std::strerror(errno));
}

UniqueFd connect_to(const std::string& address) {
    sockaddr_storage name{};
    socklen_t size = 0;
    if (address.starts_with("unix:")) {
        auto& local = reinterpret_cast<sockaddr_un&>(name);
        local.sun_family = AF_UNIX;
        std::strncpy(local.sun_path, address.c_str() + 5, sizeof(local.sun_path) - 1);
        size = sizeof(local);
    } else {
        auto& inet = reinterpret_cast<sockaddr_in&>(name);
        const std::size_t colon = address.rfind(':');
        inet.sin_family = AF_INET;
        inet.sin_port = htons(static_cast<std::uint16_t>(std::stoi(address.substr(colon + 1))));
        ::inet_pton(AF_INET, address.substr(0, colon).c_str(), &inet.sin_addr);
        size = sizeof(inet);
    }
    UniqueFd fd(::socket(name.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (!fd || ::connect(fd.value(), reinterpret_cast<sockaddr*>(&name), size) != 0)
        fail_errno("connect to " + address);
    return fd;
}

bool wait_readable(int fd, std::chrono::milliseconds wait_max) {
    pollfd poll{.fd = fd, .events = POLLIN, .revents = 0};
    return ::poll(&poll, 1, static_cast<int>(wait_max.count())) == 1;
}

}  // namespace

std::string Reply::field(std::string_view name) const {
    const std::string key = format("\r\n{}: ", name);
    const std::size_t at = head.find(key);
    if (at == std::string::npos) return {};
    const std::size_t begin = at + key.size();
    return head.substr(begin, head.find("\r\n", begin) - begin);
}

HttpProbe::HttpProbe(const std::string& address, std::chrono::milliseconds wait_max)
    : fd_(connect_to(address)), wait_max_(wait_max) {}

Reply HttpProbe::exchange(std::string_view method, std::string_view target, std::string_view body) {
    std::string head = format("{} {} HTTP/1.1\r\nHost: localhost\r\n", method, target);
    if (method == "POST" || !body.empty())
        head += format("Content-Type: application/json\r\nContent-Length: {}\r\n", body.size());
    write(head + "\r\n" + std::string(body));
    return read_reply(method == "HEAD");
}

void HttpProbe::write(std::string_view bytes) {
    while (!bytes.empty()) {
        const ssize_t n = ::send(fd_.value(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) fail_errno("send");
        bytes.remove_prefix(static_cast<std::size_t>(n));
    }
}

bool HttpProbe::read_more() {
    if (!wait_readable(fd_.value(), wait_max_)) throw std::runtime_error("no byte in time");
    char bytes[64 << 10];
    const ssize_t n = ::recv(fd_.value(), bytes, sizeof(bytes), 0);
    if (n < 0) fail_errno("recv");
    buffer_.append(bytes, static_cast<std::size_t>(n));
    return n > 0;
}

std::string HttpProbe::take(std::size_t count) {
    while (buffer_.size() < count)
        if (!read_more()) throw std::runtime_error("closed inside a reply");
    std::string bytes = buffer_.substr(0, count);
    buffer_.erase(0, count);
    return bytes;
}

std::string HttpProbe::take_line() {
    std::size_t end = 0;
    while ((end = buffer_.find("\r\n")) == std::string::npos)
        if (!read_more()) throw std::runtime_error("closed inside a reply");
    std::string line = take(end + 2);
    line.resize(end);
    return line;
}

std::string HttpProbe::take_chunks() {
    std::string body;
    for (;;) {
        const std::size_t size = std::stoul(take_line(), nullptr, 16);
        body += take(size);
        take(2);
        if (size == 0) return body;
    }
}

Reply HttpProbe::read_reply(bool head_only) {
    Reply reply;
    reply.head = take_line();
    if (!reply.head.starts_with("HTTP/1.1 ")) throw std::runtime_error("no status: " + reply.head);
    reply.status = std::stoi(reply.head.substr(9, 3));
    for (std::string line; !(line = take_line()).empty();) {
        const auto name_end =
            line.begin() + static_cast<std::ptrdiff_t>(std::min(line.find(':'), line.size()));
        std::transform(line.begin(), name_end, line.begin(),
                       [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
        reply.head += "\r\n" + line;
    }
    reply.head += "\r\n";
    const bool no_body = head_only || reply.status < 200 || reply.status == 204;
    if (no_body) return reply;
    if (reply.field("transfer-encoding") == "chunked") {
        reply.body = take_chunks();
    } else {
        const std::string length = reply.field("content-length");
        if (length.empty()) throw std::runtime_error("a reply without a length");
        reply.body = take(std::stoul(length));
    }
    return reply;
}

bool HttpProbe::closed_within(std::chrono::milliseconds wait_max) {
    const auto end = std::chrono::steady_clock::now() + wait_max;
    char bytes[64 << 10];
    for (;;) {
        const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
            end - std::chrono::steady_clock::now());
        if (left.count() <= 0 || !wait_readable(fd_.value(), left)) return false;
        if (::recv(fd_.value(), bytes, sizeof(bytes), 0) <= 0) return true;
    }
}

Reply get(const std::string& address, std::string_view target) {
    return HttpProbe(address).get(target);
}

Reply post(const std::string& address, std::string_view target, std::string_view body) {
    return HttpProbe(address).post(target, body);
}

double metric(const std::string& address, std::string_view name) {
    std::istringstream lines(get(address, "/metrics").body);
    double sum = 0;
    for (std::string line; std::getline(lines, line);) {
        if (!line.starts_with(name)) continue;
        const char next = line[name.size()];
        if (next == ' ' || next == '{') sum += std::stod(line.substr(line.rfind(' ') + 1));
    }
    return sum;
}

std::string embeddings_body(std::string_view model, const std::vector<std::string>& texts) {
    boost::json::array input;
    for (const std::string& text : texts) input.emplace_back(text);
    return boost::json::serialize(
        boost::json::object{{"model", model}, {"input", std::move(input)}});
}

}  // namespace hearth::system_test
