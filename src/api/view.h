#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>

#include "models/model.h"

// What the dialects are shown of the running server.
namespace hearth::api {

inline constexpr std::int64_t kNever = std::numeric_limits<std::int64_t>::max();

struct RunningModel {
    const models::Model* model = nullptr;  // must outlive the call
    std::uint64_t memory_bytes = 0;        // of its process, accelerators included
    std::uint64_t device_bytes = 0;        // the part that accelerators were asked for
    std::int64_t expires_unix_ns = kNever;
    std::size_t context = 0;  // tokens its process has room for; 0: the model's own
    std::string load_reason;  // "asked for"; empty: unknown
};

// What one server promises its callers, as far as a dialect shows it.
struct ServerLimits {
    std::size_t requests_max = 0;      // concurrently
    std::size_t batch_tokens_max = 0;  // per forward pass
    std::size_t tokenizer_threads = 1;
};

}  // namespace hearth::api
