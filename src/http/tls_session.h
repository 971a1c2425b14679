#pragma once

// Internal to http/: includes Asio.
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "http/socket.h"
#include "http/tls_context.h"

struct bio_st;
struct ssl_ctx_st;
struct ssl_session_st;
struct ssl_st;
struct x509_store_ctx_st;

namespace hearth::http {

// What servers gave one client to come back with, newest last: a later handshake is shorter. Shard-
// local, at most kMax.
class TlsTickets {
  public:
    struct Free {
        void operator()(ssl_session_st* ticket) const;
    };
    using Ticket = std::unique_ptr<ssl_session_st, Free>;

    void keep(Ticket ticket);
    // Null when there is none. One of TLS 1.3 is used once, so that nobody can tell connections
    // apart by it (RFC 8446 C.4).
    Ticket take();

  private:
    static constexpr std::size_t kMax = 4;
    std::vector<Ticket> tickets_;
};

// TLS over one Socket, which must outlive it. It never blocks: what would is told as WouldBlock,
// and the owner waits for what readable() and the two wants_ say. Shard-local.
class TlsSession {
  public:
    using Io = Socket::Io;
    enum class Step : std::uint8_t { Done, WantsRead, WantsWrite, Failed };

    // `host`: the name or IP address the certificate must be for. Error: of TlsContext::load().
    static Result<std::unique_ptr<TlsSession>> make(const TlsContext& context, Socket& socket,
                                                    TlsTickets& tickets, const std::string& host);
    // Says goodbye (close_notify) when that can be done without waiting.
    ~TlsSession();
    TlsSession(const TlsSession&) = delete;
    TlsSession& operator=(const TlsSession&) = delete;

    Step handshake();
    // End: the peer has said goodbye. Failed: it has not; see failure() and truncated().
    Socket::Read read(char* to, std::size_t size);
    Io write(Pieces& pieces);

    // Another read may give something without anything more from the network.
    bool readable() const {
        return more_ || (read_wants_write_ ? socket_.writable() : socket_.readable());
    }
    bool read_wants_write() const { return read_wants_write_; }
    bool write_wants_read() const { return write_wants_read_; }
    // The connection ended without a goodbye: what came may be cut off.
    bool truncated() const { return truncated_; }
    // What was wrong with the peer's TLS, if that is why something Failed: reason
    // "tls_certificate" or "tls_handshake".
    const std::optional<Error>& failure() const { return failure_; }

    // Makes `context` fit for sessions.
    static void prepare(ssl_ctx_st* context, const TlsOptions& options);

  private:
    struct Free {
        void operator()(ssl_st* ssl) const;
    };
    TlsSession(Socket& socket, TlsTickets& tickets, std::string host);

    static int on_verify(int good, x509_store_ctx_st* store);
    static int on_certificate_asked(ssl_st* ssl, void*);
    static int on_ticket(ssl_st* ssl, ssl_session_st* ticket);
    static int bio_read(bio_st* bio, char* to, int size);
    static int bio_write(bio_st* bio, const char* from, int size);
    static long bio_control(bio_st* bio, int what, long, void*);
    static bio_st* make_bio(TlsSession* self);

    bool set_up(ssl_ctx_st* context);
    void explain(int kind);
    bool agreed_protocol();
    Error no_tls(std::string_view why) const;

    Socket& socket_;
    TlsTickets& tickets_;
    const std::string host_;
    std::unique_ptr<ssl_st, Free> ssl_;
    std::string certificate_fault_;
    std::optional<Error> failure_;
    std::string record_;   // what goes into one record together
    Io ended_ = Io::Some;  // End or Failed once reading has come to that
    bool asked_for_certificate_ = false;
    bool established_ = false;
    bool more_ = false;
    bool read_wants_write_ = false;
    bool write_wants_read_ = false;
    bool write_pending_ = false;  // a record is half sent
    bool truncated_ = false;
    bool at_end_ = false;  // of the bytes below
};

}  // namespace hearth::http
