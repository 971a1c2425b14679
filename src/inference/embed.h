#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/error.h"

// The canonical form of an embedding call: every dialect is translated into it, every backend takes
// it.
namespace hearth::inference {

using TokenIds = std::vector<std::int32_t>;
// A text in UTF-8, or ids of the model's own vocabulary without special tokens added.
using EmbedInput = std::variant<std::string, TokenIds>;

// What happens to an input longer than the model's window.
enum class Overflow : std::uint8_t { Refuse, CutRight, CutLeft };

struct EmbedRequest {
    std::string model;                      // as the caller wrote it
    std::vector<EmbedInput> inputs;         // 1 to 2048 items (empty allowed: "load the model")
    std::optional<std::size_t> dimensions;  // Matryoshka cut; 1 to the model's own
    Overflow overflow = Overflow::Refuse;
    bool normalize = true;
    std::string prompt_name;  // a prompt of the model's own configuration, or empty
    std::optional<std::chrono::milliseconds> keep_alive;  // negative: for ever
    // Over it in total: InvalidArgument. 0: no cap.
    std::size_t tokens_max = 0;
};

struct EmbedReply {
    std::string model;    // the model that answered
    std::string backend;  // which of several did; empty: there is one
    std::size_t dimension = 0;
    std::vector<float> vectors;         // [count, dimension] row-major, in the order of inputs
    bool stands_in = false;             // another model than the one asked for answered
    std::vector<std::uint32_t> tokens;  // per input, special tokens included, after a cut; all 0:
                                        // not told
    std::chrono::nanoseconds load_time{0};
    std::chrono::nanoseconds queue_time{0};
    std::chrono::nanoseconds compute_time{0};
};

}  // namespace hearth::inference
