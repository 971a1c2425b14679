#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/unique_fd.h"

namespace hearth::bench {

// The bytes of one request as they go over the wire, and what they ask for.
struct PreparedRequest {
    std::string wire;
    std::uint64_t texts = 0;
    std::uint64_t tokens = 0;
};

class Connection;

// epoll over the connections of one thread.
class Poller {
  public:
    Poller();
    void add(int fd, Connection* connection);
    void rewatch(int fd, Connection* connection, bool for_write);
    // The connections with something to do; valid until the next call. Throws when none is for
    // `wait_max`.
    const std::vector<Connection*>& wait(std::chrono::milliseconds wait_max);

  private:
    UniqueFd epoll_;
    std::vector<Connection*> ready_;
};

// One keep-alive connection driven without blocking. Errors are exceptions: a run with one failed
// request is no measurement.
class Connection {
  public:
    Connection(const std::string& address, Poller& poller);
    void begin(const PreparedRequest& request);
    // Moves bytes; true when the reply is complete. Throws on any status but 200.
    bool advance();
    const PreparedRequest& request() const { return *request_; }
    std::uint64_t latency_ns() const { return latency_ns_; }
    // To the first byte of the reply's body; of a stream of events, to its first data.
    std::uint64_t first_ns() const { return first_ns_; }
    // Keeps the body of replies from now on (used by the check of the first reply).
    void keep_body() { keep_body_ = true; }
    const std::string& body() const { return body_; }

  private:
    void open();
    void reopen();
    void restart_message();
    void write_some();
    bool read_some();
    bool parse_head();
    std::uint64_t ns_since_start() const;
    bool consume(std::string_view bytes);
    bool consume_chunked(std::string_view bytes);

    enum class Framing : std::uint8_t { Length, Chunked };

    const std::string address_;
    UniqueFd fd_;
    Poller& poller_;
    bool closes_ = false;   // the last reply said so
    bool waiting_ = false;  // for a reply
    int reopened_ = 0;      // for this request
    const PreparedRequest* request_ = nullptr;
    std::chrono::steady_clock::time_point started_;
    std::uint64_t latency_ns_ = 0;
    std::uint64_t first_ns_ = 0;
    std::size_t written_ = 0;
    bool watching_write_ = false;

    std::string head_;  // bytes until the blank line, then empty
    bool in_body_ = false;
    bool events_ = false;  // of which comments are no part
    Framing framing_ = Framing::Length;
    std::uint64_t left_ = 0;  // of the body, or of the current chunk with its CRLF
    std::string chunk_line_;
    bool last_chunk_ = false;
    bool keep_body_ = false;
    std::string body_;
};

// Opens a blocking socket to "HOST:PORT" (an IPv4 address) or "unix:PATH". Throws.
UniqueFd connect_to(const std::string& address);

}  // namespace hearth::bench
