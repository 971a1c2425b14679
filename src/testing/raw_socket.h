#pragma once

// For tests only: a blocking client that sends and reads bytes exactly as told.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <chrono>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "base/unique_fd.h"

namespace hearth::testing {

class RawSocket {
  public:
    static constexpr std::chrono::milliseconds kWait{20'000};

    explicit RawSocket(UniqueFd fd) : fd_(std::move(fd)) {}

    // `address`: "127.0.0.1:PORT" or "unix:PATH". An unconnected socket when that fails.
    static RawSocket connect(const std::string& address) {
        sockaddr_storage storage{};
        socklen_t size = 0;
        if (address.starts_with("unix:")) {
            sockaddr_un name{};
            name.sun_family = AF_UNIX;
            address.copy(name.sun_path, sizeof name.sun_path - 1, 5);
            std::memcpy(&storage, &name, size = sizeof name);
        } else {
            sockaddr_in name{};
            name.sin_family = AF_INET;
            const std::size_t colon = address.rfind(':');
            ::inet_pton(AF_INET, address.substr(0, colon).c_str(), &name.sin_addr);
            name.sin_port = htons(std::uint16_t(std::atoi(address.c_str() + colon + 1)));
            std::memcpy(&storage, &name, size = sizeof name);
        }
        UniqueFd fd(::socket(storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
        if (::connect(fd.value(), reinterpret_cast<sockaddr*>(&storage), size) != 0) fd.reset();
        return RawSocket(std::move(fd));
    }

    int fd() const { return fd_.value(); }
    bool connected() const { return bool(fd_); }
    void close() { fd_.reset(); }
    void end_sending() const { ::shutdown(fd_.value(), SHUT_WR); }

    // False when the peer is gone.
    bool send(std::string_view bytes) const {
        while (!bytes.empty()) {
            const ssize_t sent = ::send(fd_.value(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
            if (sent <= 0) return false;
            bytes.remove_prefix(std::size_t(sent));
        }
        return true;
    }

    // What comes next; empty at the end of the stream, nullopt when nothing comes within `wait`.
    std::optional<std::string> read_some(std::chrono::milliseconds wait = kWait) const {
        pollfd poll{.fd = fd_.value(), .events = POLLIN, .revents = 0};
        if (::poll(&poll, 1, int(wait.count())) != 1) return std::nullopt;
        std::string bytes(64 << 10, '\0');
        const ssize_t got = ::recv(fd_.value(), bytes.data(), bytes.size(), 0);
        bytes.resize(got > 0 ? std::size_t(got) : 0);
        return bytes;
    }

    // Everything until the peer closes; nullopt when it does not within `wait` of the last byte.
    std::optional<std::string> read_to_end(std::chrono::milliseconds wait = kWait) {
        std::string all = std::exchange(ahead_, {});
        for (;;) {
            const auto some = read_some(wait);
            if (!some) return std::nullopt;
            if (some->empty()) return all;
            all += *some;
        }
    }

    // Everything up to and with `mark`; what follows is kept for the next call. What came when it
    // fails.
    std::string read_until(std::string_view mark, std::chrono::milliseconds wait = kWait) {
        for (;;) {
            if (const std::size_t at = ahead_.find(mark); at != ahead_.npos)
                return take(at + mark.size());
            const auto some = read_some(wait);
            if (!some || some->empty()) return std::exchange(ahead_, {});
            ahead_ += *some;
        }
    }

    std::string read_exactly(std::size_t size, std::chrono::milliseconds wait = kWait) {
        while (ahead_.size() < size) {
            const auto some = read_some(wait);
            if (!some || some->empty()) return std::exchange(ahead_, {});
            ahead_ += *some;
        }
        return take(size);
    }

    // One reply with Content-Length: its head, and its body.
    std::pair<std::string, std::string> read_reply(std::chrono::milliseconds wait = kWait) {
        std::string head = read_until("\r\n\r\n", wait);
        const std::size_t at = head.find("Content-Length: ");
        const std::size_t size =
            at == head.npos ? 0 : std::size_t(std::atol(head.c_str() + at + 16));
        return {std::move(head), read_exactly(size, wait)};
    }

  private:
    std::string take(std::size_t size) {
        std::string taken = ahead_.substr(0, size);
        ahead_.erase(0, size);
        return taken;
    }

    UniqueFd fd_;
    std::string ahead_;
};

}  // namespace hearth::testing
