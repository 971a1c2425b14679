#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "models/gguf_writer.h"

// Small GGUF files for tests.
namespace hearth::models {

inline constexpr std::uint32_t kF32Tensor = 0;

inline GgufWriter llama_gguf() {
    GgufWriter writer;
    writer.text("general.architecture", "llama")
        .number("general.file_type", GgufType::U32, std::uint32_t{15})
        .number("llama.context_length", GgufType::U32, std::uint32_t{4096})
        .number("llama.embedding_length", GgufType::U32, std::uint32_t{32})
        .tensor("token_embd.weight", kF32Tensor, {32, 4});
    return writer;
}

inline std::string llama_file() { return llama_gguf().file(); }

inline std::string projector_file() {
    return GgufWriter()
        .text("general.architecture", "clip")
        .tensor("v.patch_embd.weight", kF32Tensor, {8})
        .file();
}

// Part `part` of `parts`, from 1.
inline std::string part_file(std::uint16_t part, std::uint16_t parts) {
    GgufWriter writer;
    if (part == 1) writer.text("general.architecture", "llama");
    return writer.number("split.no", GgufType::U16, static_cast<std::uint16_t>(part - 1))
        .number("split.count", GgufType::U16, parts)
        .tensor("blk." + std::to_string(part) + ".weight", kF32Tensor, {8})
        .file();
}

}  // namespace hearth::models
