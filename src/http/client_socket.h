#pragma once

// Internal to http/: includes Asio.
#include <cstddef>
#include <memory>
#include <utility>

#include "http/socket.h"
#include "http/tls_session.h"

namespace hearth::http {

// One connection of a client, with TLS over it or without. Shard-local, like its Socket.
class ClientSocket {
  public:
    using Io = Socket::Io;

    // `open` counts the connections there are, and outlives them.
    ClientSocket(Poller& poller, UniqueFd fd, Socket::State state, std::size_t& open)
        : open_(open), socket_(poller, std::move(fd), state) {
        ++open_;
    }
    ~ClientSocket() { --open_; }
    ClientSocket(const ClientSocket&) = delete;
    ClientSocket& operator=(const ClientSocket&) = delete;

    Socket& socket() { return socket_; }
    const TlsSession* tls() const { return tls_.get(); }
    TlsSession& secure(std::unique_ptr<TlsSession> tls) {
        tls_ = std::move(tls);
        return *tls_;
    }

    bool readable() const { return tls_ ? tls_->readable() : socket_.readable(); }
    Socket::Read read(char* to, std::size_t size) {
        return tls_ ? tls_->read(to, size) : socket_.read(to, size);
    }
    Io write(Pieces& pieces) { return tls_ ? tls_->write(pieces) : socket_.write(pieces); }

    // Suspend until another read or write is worth a try: TLS may have to write to read, and the
    // other way round.
    boost::asio::awaitable<Wake> wait_readable(Pollable::Clock::time_point until) {
        const bool inverse = tls_ && tls_->read_wants_write();
        return inverse ? socket_.wait_writable(until) : socket_.wait_readable(until);
    }
    boost::asio::awaitable<Wake> wait_writable(Pollable::Clock::time_point until) {
        const bool inverse = tls_ && tls_->write_wants_read();
        return inverse ? socket_.wait_readable(until) : socket_.wait_writable(until);
    }

    // Nobody has closed it, and nothing has come that nobody asked for.
    bool fit_for_reuse() {
        if (socket_.peer_closed()) return false;
        if (!readable()) return true;
        char byte = 0;
        return read(&byte, 1).io == Io::WouldBlock;
    }
    bool used_before() const { return used_before_; }
    void set_used() { used_before_ = true; }

  private:
    std::size_t& open_;
    Socket socket_;
    std::unique_ptr<TlsSession> tls_;  // goes before the socket it writes to
    bool used_before_ = false;
};

}  // namespace hearth::http
