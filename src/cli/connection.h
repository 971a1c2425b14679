#pragma once

#include <boost/json/fwd.hpp>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace hearth::cli {

// The server a command talks to: HEARTH_HOST or 127.0.0.1:11435 unless given.
std::string default_address();

// "http://HOST:PORT" or "HOST:PORT" to "HOST:PORT". Error: InvalidArgument.
Result<std::string> parse_address(std::string_view url);

// One vector per text and the server's own token count.
struct Embedded {
    std::vector<float> vectors;  // [texts, dimension] row-major
    std::size_t dimension = 0;
    std::uint64_t tokens = 0;
};

// One line of an answer that comes in lines, as an object. Errors: the server's own message where
// the line is an error; BadUpstream.
Result<boost::json::object> read_answer_line(std::string_view line);

// Blocking calls to a running server, for commands. Not thread-safe.
// Errors: Unavailable with advice when nothing listens; the server's own message otherwise;
// Cancelled after SIGINT while an InterruptGuard lives.
class Connection {
  public:
    explicit Connection(std::string address);
    ~Connection();
    Connection(const Connection&) = delete;
    Connection& operator=(const Connection&) = delete;

    // null where the answer has no body. Within five minutes.
    Result<boost::json::value> call(std::string_view method, const std::string& path,
                                    const std::string& body);

    // POST; `on_line` is called for each line of NDJSON, or the data of each event but "[DONE]",
    // while they come, and for the body of any other answer. An error of it ends the call. A call
    // that ends early closes the connection, which stops the answer in the server. Bounded only by
    // SIGINT and the server's own deadlines.
    using OnLine = std::function<Result<void>(std::string_view)>;
    Result<void> stream(const std::string& path, const std::string& body, const OnLine& on_line);

    // Texts in batches over `concurrency` connections at once. `truncate` false: through
    // /v1/embeddings, where a text over the model's window is an error; true: through /api/embed,
    // which shortens it. `progress` runs after each batch with the texts done so far and that
    // batch's latency.
    struct EmbedPlan {
        std::string model;
        bool truncate = false;
        std::size_t batch_texts_max = 32;
        std::size_t concurrency = 4;
        std::function<void(std::size_t done, std::chrono::nanoseconds latency)> progress;
    };
    Result<Embedded> embed(const std::vector<std::string>& texts, const EmbedPlan& plan);

  private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace hearth::cli
