#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/error.h"
#include "http/message.h"
#include "runtime/awaitable.h"
#include "runtime/deadline.h"

namespace hearth::http {

struct ClientOptions {
    std::chrono::milliseconds connect_time{2'000};
    std::size_t idle_connections_max = 32;  // kept alive, per client
    std::size_t body_bytes_max = 256 << 20;
    std::size_t header_bytes_max = 64 << 10;
    std::chrono::milliseconds idle_time{
        30'000};  // an idle connection older than this is not reused
};

// What to send. `target` is the raw request target ("/v1/embed?x=1").
struct Call {
    Method method = Method::Get;
    std::string target;
    Headers headers;
    std::string body;
};

struct Reply {
    int status = 0;
    Headers headers;
    std::string body;
};

// A pool of keep-alive connections to one address ("HOST:PORT" or "unix:PATH"). Shard-local: used
// from one io_context only. TCP_NODELAY. A request on a reused connection that dies before any
// reply byte is sent once more on a new connection; `sent_no_byte` in the error tells the caller
// the same. Errors: Unavailable (cannot connect, or closed before a reply byte), DeadlineExceeded,
// BadUpstream (malformed or oversized reply, or closed inside the reply), Cancelled.
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
    // returned completes.
    using OnHead = std::function<Result<void>(const Reply&)>;
    using OnBody = std::function<Awaitable<Result<void>>(std::string_view)>;
    Awaitable<Result<Reply>> stream(Call call, Deadline deadline, OnHead on_head, OnBody on_body);

  private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace hearth::http
