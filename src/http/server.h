#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <string>

#include "base/error.h"
#include "http/message.h"
#include "runtime/awaitable.h"

namespace hearth::runtime {
class Shards;
}

namespace hearth::http {

// Whether a request's body is handed to the handler as it comes; asked when its head has come.
using StreamsBody = std::function<bool(const Request& head)>;

// The body, a JSON object, of an answer that the server gives by itself. `head`: of the request,
// null where that is not known. Empty: {"error": {"message", "type", ...}}, as everywhere else.
using ErrorBody =
    std::function<std::string(int status, std::string_view message, const Request* head)>;

struct ServerOptions {
    std::size_t header_bytes_max = 64 << 10;        // request line and all fields
    std::size_t body_bytes_max = 64 << 20;          // after decompression; over it: 413
    std::size_t connections_max = 20'000;           // per server; over it: 503 and close
    std::chrono::milliseconds header_time{10'000};  // first byte of a request to end of its header
    std::chrono::milliseconds body_time{60'000};    // end of header to end of body, or a MiB of it
    std::chrono::milliseconds idle_time{75'000};    // keep-alive silence between requests
    std::chrono::milliseconds write_time{30'000};   // without progress: the client took no byte
    StreamsBody streams_body = nullptr;             // null: none
    ErrorBody error_body = nullptr;                 // null: the usual one
};

// The answer side of one exchange. Exactly one of send() or start()..finish() is used. Shard-local;
// lives as long as the handler's coroutine. After an error the connection is closed by the server.
// Errors: Cancelled when the client has left or reads too slowly.
class Exchange {
  public:
    virtual ~Exchange() = default;
    virtual const Request& request() const = 0;
    // The request may be moved from (its body is large).
    virtual Request take_request() = 0;
    // Of a request whose body is streamed: the next piece, at most 64 KiB as sent; empty: its end.
    // However long it is, the handler says when it is too long. What it leaves unread ends the
    // connection. Errors: Cancelled (the client has left), DeadlineExceeded (less than a MiB in
    // body_time), InvalidArgument (malformed).
    virtual Awaitable<Result<std::string>> read_body() = 0;
    virtual Awaitable<Result<void>> send(Response response) = 0;
    // Begins a chunked reply (event streams, NDJSON); `head.body` must be empty.
    virtual Awaitable<Result<void>> start(Response head) = 0;
    virtual Awaitable<Result<void>> write(std::string_view bytes) = 0;
    virtual Awaitable<Result<void>> finish() = 0;
};

// Called once per request, on the connection's shard. An exception or a handler that sends nothing
// becomes a 500. The coroutine is cancelled (asio terminal cancellation) when the client
// disconnects while it runs; a client that had closed its sending side before is taken for one that
// still reads.
using Handler = std::function<Awaitable<void>(Exchange&)>;

// HTTP/1.1 over TCP and Unix sockets: keep-alive, pipelining, chunked bodies, Expect: 100-continue,
// HEAD, gzip request bodies, TCP_NODELAY. One listener per shard (SO_REUSEPORT). Connections never
// move between shards. Thread-safe: start, stop. Bad messages are answered by the server itself
// with the status of RFC 9110/9112 and `error_body`, and the connection is closed.
class Server {
  public:
    Server(runtime::Shards& shards, ServerOptions options, Handler handler);
    ~Server();  // stop() must have returned
    Server(const Server&) = delete;
    Server& operator=(const Server&) = delete;

    // "HOST:PORT", "[V6]:PORT" (port 0: any free one) or "unix:PATH". Returns the address bound, in
    // the same form. May be called several times. Errors: InvalidArgument, Unavailable (in use).
    Result<std::string> listen(const std::string& address);

    // Stops accepting, lets exchanges in flight finish until `grace`, then closes everything.
    // Blocks; call it from a thread that is no shard.
    void stop(std::chrono::milliseconds grace);

    std::size_t connections_approx() const;

  private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace hearth::http
