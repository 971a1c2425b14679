#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/error.h"
#include "fetch/http_get.h"

namespace hearth::fetch {

struct ClientOptions {
    bool insecure = false;                            // http also to other machines
    std::chrono::milliseconds stall_time{30'000};     // without a byte: the attempt is given up
    std::chrono::milliseconds document_time{60'000};  // for one attempt at a small document
    unsigned document_retries_max = 3;
    unsigned part_retries_max = 6;               // in a row, of one part of a blob
    std::chrono::milliseconds pause_first{500};  // before the first retry; doubled for each further
    std::chrono::milliseconds pause_max{30'000};
    std::function<bool()> stopped = [] { return false; };  // asked at least every 100 ms
};

struct Document {
    ReplyHead head;
    std::string text;  // of a 2xx the whole body, else its beginning
};

// Runs GETs, many at a time, on the caller's thread. Every wait ends after at most 100 ms, or on
// its deadline.
class Client {
  public:
    explicit Client(ClientOptions options);
    ~Client();  // every GET has ended or was cancelled
    Client(const Client&) = delete;
    Client& operator=(const Client&) = delete;

    const ClientOptions& options() const { return options_; }

    // `get` lives until it has ended or was cancelled.
    void start(HttpGet& get);
    void cancel(HttpGet& get);
    // Moves what is under way and waits for something to happen, at most `time`; returns those that
    // have ended, stalled ones included.
    std::vector<HttpGet*> run(std::chrono::milliseconds time);

    // One small document, whatever its status; tries again where that may help. Errors: stopped,
    // unreachable, bad_registry (more than `bytes_max` bytes), invalid.
    Result<Document> get_document(const HttpGet::Request& request, std::size_t bytes_max);

    // Sleeps. Errors: stopped.
    Result<void> pause(std::chrono::milliseconds time);
    // How long to wait before retry number `retry` (from 1): growing, with jitter.
    std::chrono::milliseconds pause_before(unsigned retry);

  private:
    struct Impl;
    void move_on(std::chrono::milliseconds time);
    void give_up_stalled();
    Result<Document> try_document(const HttpGet::Request& request, std::size_t bytes_max);
    Result<void> finish(HttpGet& get, std::chrono::milliseconds limit);

    ClientOptions options_;
    std::unique_ptr<Impl> impl_;
};

}  // namespace hearth::fetch
