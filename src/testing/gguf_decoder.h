#pragma once

// For tests and measurements only: decoders with random weights, the vocabulary of Qwen2.5 (151,936
// tokens) and real chat templates.
#include <cstdint>
#include <filesystem>
#include <string>

#include "base/error.h"
#include "testing/random_weights.h"

namespace hearth::testing {

inline constexpr std::uint32_t kTinyHidden = 64;  // of every tiny model

// The sizes of a decoder of the Qwen families.
struct DecoderShape {
    std::string name;
    std::string architecture = "qwen2";  // or qwen3, qwen3moe
    WeightType type = WeightType::F16;   // of every matrix
    std::uint32_t layers = 0;
    std::uint32_t hidden = 0;
    std::uint32_t heads = 0;
    std::uint32_t kv_heads = 0;
    std::uint32_t head_size = 0;
    std::uint32_t inner = 0;    // of the feed-forward part
    std::uint32_t context = 0;  // tokens
    bool tied = true;           // the output is the embedding
    // So many of the first dimensions of `hidden` are left zero by random weights.
    std::uint32_t reserved = 0;
    // qwen3moe only.
    std::uint32_t experts = 0;
    std::uint32_t experts_used = 0;
    std::uint32_t expert_inner = 0;
};

DecoderShape coder_0_5b();  // Qwen2.5-Coder-0.5B: 1 GB in F16
// Qwen3-30B-A3B: 61 GB in F16. With fewer layers each of them is as large as it was.
DecoderShape qwen3_30b_a3b(std::uint32_t layers = 48);

// Writes a chat model of that shape that can fill in the middle, with the special tokens and the
// template of Qwen2.5. Memory stays below 50 MB. Errors: NotFound when setup has not run,
// Internal when the disk refuses.
Result<void> write_decoder(const DecoderShape& shape, const std::filesystem::path& file);

// The tiny models. Errors as above.
Result<void> write_tiny_text(const std::filesystem::path& file, std::string name);
Result<void> write_tiny_fim(const std::filesystem::path& file);
Result<void> write_tiny_thinking(const std::filesystem::path& file);

}  // namespace hearth::testing
