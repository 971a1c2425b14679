#pragma once

#include <cstdint>
#include <string>

#include "base/error.h"
#include "inference/embed.h"
#include "inference/generate.h"
#include "inference/rerank.h"
#include "runtime/awaitable.h"
#include "runtime/deadline.h"

namespace hearth::inference {

struct BackendInfo {
    std::string name;  // "worker/all-minilm"
    std::string model;
};

enum class Health : std::uint8_t { Starting, Ready, Down };

struct LoadRequest {
    std::optional<std::chrono::milliseconds> keep_alive;  // negative: for ever
    std::size_t context_min = 0;                          // as of GenerateRequest
};

// Whatever can serve a model: a local worker or a server elsewhere. Thread-safe. What a model
// cannot do is Unsupported, and the message says what it can. Errors of all: InvalidArgument
// (reason "context_length_exceeded" when a text is over the window), Overloaded, Unavailable,
// DeadlineExceeded, Cancelled, BadUpstream, Internal.
class Backend {
  public:
    virtual ~Backend() = default;
    virtual BackendInfo info() const = 0;
    // All that its answers depend on beside the request: the model's weights and how they are
    // computed with. Two that are equal answer alike. Empty: unknown, and nothing of it is kept.
    virtual std::string identity() const { return {}; }
    // Whether a call in that dialect goes on, and its answer comes back, in its own words.
    virtual bool relays(Dialect) const { return false; }
    virtual Awaitable<Result<EmbedReply>> embed(EmbedRequest request, Deadline deadline) = 0;
    virtual Awaitable<Result<RerankReply>> rerank(RerankRequest request, Deadline deadline) = 0;
    // Returns when the answer has ended; `request` must stay until then. After an event was pushed
    // an error means that the answer is incomplete.
    virtual Awaitable<Result<GenerateReply>> generate(const GenerateRequest& request, Sink& sink,
                                                      Deadline deadline) = 0;
    virtual Awaitable<Result<boost::json::object>> inquire(InquiryRequest request,
                                                           Deadline deadline) = 0;
    // Brings the model into memory, or (keep_alive 0) takes it out. Returns the time it took.
    virtual Awaitable<Result<std::chrono::nanoseconds>> load(LoadRequest request,
                                                             Deadline deadline) = 0;
    virtual Health probe() const = 0;
};

}  // namespace hearth::inference
