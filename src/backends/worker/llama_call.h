#pragma once

#include <boost/json/object.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "http/event_stream.h"
#include "inference/generate.h"

// llama-server's HTTP API as its callers see it: requests out, streams and errors in. Pure, knows
// no sockets. Source: llama.cpp tools/server/README.md, v0.5.0.
namespace hearth::worker {

std::string_view path_of(inference::Operation operation);
std::string_view path_of(inference::Inquiry inquiry);

// The body to send: the caller's, as a stream with usage, progress and a sign of life every few
// seconds.
std::string encode_llama_call(const inference::GenerateRequest& request);

// What its error says to our caller. `status` is the reply's, `body` whatever came with it.
Error decode_llama_error(int status, std::string_view body);

// Reads its event stream. Not thread-safe.
class LlamaStream {
  public:
    explicit LlamaStream(const inference::GenerateRequest& request);

    // Takes bytes as they come. Error: BadUpstream for what is no such stream, and the error the
    // engine sent inside it.
    Result<void> feed(std::string_view bytes);
    // What has come since the last call, without what the caller did not ask for.
    std::vector<boost::json::object> take_events() { return std::exchange(events_, {}); }
    // The stream said that it is complete.
    bool complete() const { return complete_; }
    const inference::Usage& usage() const { return usage_; }

  private:
    Result<void> take(std::string_view data);

    const bool native_;
    const bool wants_progress_;
    http::EventStreamParser parser_;
    std::vector<boost::json::object> events_;
    inference::Usage usage_;
    bool complete_ = false;
};

}  // namespace hearth::worker
