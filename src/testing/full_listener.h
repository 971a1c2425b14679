#pragma once

// For tests only: an address that answers nothing, like a machine that is gone.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <cstring>
#include <string>
#include <vector>

#include "base/unique_fd.h"

namespace hearth::testing {

// Listens, accepts nobody, and has its queue full: the kernel drops every further attempt.
class FullListener {
  public:
    FullListener() {
        listener_ = UniqueFd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
        name_.sin_family = AF_INET;
        name_.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        socklen_t size = sizeof name_;
        ::bind(listener_.value(), reinterpret_cast<sockaddr*>(&name_), size);
        ::listen(listener_.value(), 0);
        ::getsockname(listener_.value(), reinterpret_cast<sockaddr*>(&name_), &size);
        while (fill()) {
        }
    }

    std::string address() const { return "127.0.0.1:" + std::to_string(ntohs(name_.sin_port)); }
    const sockaddr_in& name() const { return name_; }

  private:
    // False once an attempt hangs.
    bool fill() {
        UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
        ::connect(fd.value(), reinterpret_cast<const sockaddr*>(&name_), sizeof name_);
        pollfd poll{.fd = fd.value(), .events = POLLOUT, .revents = 0};
        const bool connected = ::poll(&poll, 1, 100) == 1;
        fillers_.push_back(std::move(fd));
        return connected && fillers_.size() < 100;
    }

    UniqueFd listener_;
    sockaddr_in name_{};
    std::vector<UniqueFd> fillers_;
};

}  // namespace hearth::testing
