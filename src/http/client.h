#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/error.h"
#include "http/message.h"
#include "http/tls_context.h"
#include "runtime/awaitable.h"
#include "runtime/deadline.h"

namespace hearth::http {

// How long a server may keep one call waiting, besides the call's deadline. Nothing: for ever. They
// are looked at with a granularity of 20 ms.
struct CallLimits {
    using Time = std::optional<std::chrono::milliseconds>;
    Time header;      // from the last byte of the request that it took to the end of its head
    Time first_byte;  // from the head to the first byte of the body
    Time idle;        // between two pieces of the body
};

// A limit that the caller of stream() moves while the body comes, because only the caller knows
// what counts: a first token among comments, for one. Looked at whenever the call waits for the
// server. Shard-local; outlives the call.
class MovingLimit {
  public:
    // The call ends as BadUpstream with these words when `end` passes before the limit is moved.
    void set(Deadline end, std::string reason, std::string message);
    void move(Deadline end) { end_ = end.when(); }  // with the same words

    Deadline::Clock::time_point end() const { return end_; }
    Error error() const;

  private:
    Deadline::Clock::time_point end_ = Deadline::Clock::time_point::max();
    std::string reason_;
    std::string message_;
};

struct ClientOptions {
    std::chrono::milliseconds connect_time{2'000};  // look-up, TCP and TLS handshake together
    std::size_t idle_connections_max = 32;          // kept alive, per client
    std::size_t body_bytes_max = 256 << 20;
    std::size_t header_bytes_max = 64 << 10;
    std::chrono::milliseconds idle_time{30'000};  // an idle connection older than this is closed
    CallLimits limits = {};                       // of calls that bring none
    std::shared_ptr<const TlsContext> tls = {};   // null: plain HTTP; never a fallback to it
    // A machine that gives no sign of itself for so long on a connection with a call under way, not
    // even TCP's, is gone, and the call fails. Nothing: only the limits of calls say so.
    std::optional<std::chrono::milliseconds> lost_time = {};
    std::string server_name = {};  // TLS: whom the certificate is for; empty: the address's host
};

// What to send. `target` is the raw request target ("/v1/embed?x=1"). Without a field
// Accept-Encoding the call says "identity", and an answer that is coded all the same is
// BadUpstream.
struct Call {
    Method method = Method::Get;
    std::string target;
    Headers headers;
    std::string body;
    std::optional<CallLimits> limits = {};
    MovingLimit* moving_limit = nullptr;
};

struct Reply {
    int status = 0;
    Headers headers;
    std::string body;
};

// A pool of keep-alive connections to one address ("HOST:PORT" or "unix:PATH"). Shard-local: used
// from one io_context only. TCP_NODELAY. A request on a reused connection that dies before any
// reply byte is sent once more on a new connection.
//
// Errors, by code and reason:
//   Unavailable       no connection came about: connect_failed, connect_timeout, tls_certificate,
//                     tls_handshake, tls_configuration
//                     the server has, or may have, the request, and no byte of a reply came:
//                     sent_no_byte (it closed), header_timeout (also while the head was coming)
//   BadUpstream       the reply had begun: first_byte_timeout, idle_timeout, a MovingLimit's own;
//                     without reason: malformed, oversized, coded, or cut off
//   DeadlineExceeded  total_timeout: the caller's own deadline, wherever it struck
//   Cancelled, InvalidArgument (the call or the address is none)
class Client {
  public:
    explicit Client(std::string address, ClientOptions options = {});
    ~Client();
    Client(Client&&) noexcept;
    Client& operator=(Client&&) noexcept;

    // One exchange, the body collected.
    Awaitable<Result<Reply>> send(Call call, Deadline deadline);

    // One exchange, the body handed over piece by piece as it arrives; Reply::body stays empty.
    // `on_head` runs once before the first piece. A piece's view is valid until the awaitable it
    // returned completes. The time the callbacks take counts for the deadline only.
    using OnHead = std::function<Result<void>(const Reply&)>;
    using OnBody = std::function<Awaitable<Result<void>>(std::string_view)>;
    Awaitable<Result<Reply>> stream(Call call, Deadline deadline, OnHead on_head, OnBody on_body);

    // Connections there are now: being made, in use and idle.
    std::size_t connections_open() const;

  private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace hearth::http
