#pragma once

// For tests only: a server that sends exactly the bytes it is told, whatever it is asked.
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "testing/raw_socket.h"

namespace hearth::testing {

class ScriptedServer {
  public:
    // Called on a thread of its own for each connection, with its number from 0.
    using Script = std::function<void(RawSocket&, int)>;

    explicit ScriptedServer(Script script) : script_(std::move(script)) {
        listener_ = UniqueFd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
        sockaddr_in name{};
        name.sin_family = AF_INET;
        name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        socklen_t size = sizeof name;
        ::bind(listener_.value(), reinterpret_cast<sockaddr*>(&name), size);
        ::listen(listener_.value(), 64);
        ::getsockname(listener_.value(), reinterpret_cast<sockaddr*>(&name), &size);
        address_ = "127.0.0.1:" + std::to_string(ntohs(name.sin_port));
        acceptor_ = std::thread([this] { accept_all(); });
    }
    ~ScriptedServer() {
        ::shutdown(listener_.value(), SHUT_RDWR);
        acceptor_.join();
        for (std::thread& thread : threads_) thread.join();
    }
    ScriptedServer(const ScriptedServer&) = delete;
    ScriptedServer& operator=(const ScriptedServer&) = delete;

    const std::string& address() const { return address_; }

  private:
    void accept_all() {
        for (int number = 0;; ++number) {
            UniqueFd fd(::accept4(listener_.value(), nullptr, nullptr, SOCK_CLOEXEC));
            if (!fd) return;
            threads_.emplace_back([this, number, socket = RawSocket(std::move(fd))]() mutable {
                script_(socket, number);
            });
        }
    }

    Script script_;
    UniqueFd listener_;
    std::string address_;
    std::vector<std::thread> threads_;
    std::thread acceptor_;
};

}  // namespace hearth::testing
