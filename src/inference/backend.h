#pragma once

#include <cstdint>
#include <string>

#include "base/error.h"
#include "inference/embed.h"
#include "runtime/awaitable.h"
#include "runtime/deadline.h"

namespace hearth::inference {

struct BackendInfo {
    std::string name;  // "worker/all-minilm"
    std::string model;
};

enum class Health : std::uint8_t { Starting, Ready, Down };

// Whatever can serve a model: a local worker or a server elsewhere. Thread-safe.
// Errors of embed: InvalidArgument (reason "context_length_exceeded" when a text is over the
// window), Overloaded, Unavailable, DeadlineExceeded, Cancelled, BadUpstream, Internal.
class Backend {
  public:
    virtual ~Backend() = default;
    virtual BackendInfo info() const = 0;
    virtual Awaitable<Result<EmbedReply>> embed(EmbedRequest request, Deadline deadline) = 0;
    virtual Health probe() const = 0;
};

}  // namespace hearth::inference
