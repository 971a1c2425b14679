#pragma once

#include <cstddef>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace hearth::models {

// What the name of a GGUF file says, by the habits of those who publish them.
struct GgufFileName {
    std::string name;           // "qwen2.5-coder-0.5b-instruct"
    std::string quantisation;   // "q4_k_m", as written; empty: not said
    std::size_t part = 0;       // of a split file, from 1
    std::size_t parts = 0;      // 0: not split
    bool is_projector = false;  // "mmproj" is in the name, and cut from `name`
};

// nullopt: the name does not end in ".gguf".
std::optional<GgufFileName> parse_gguf_file_name(std::string_view file_name);

// "Q4_K_M", "iq2_xxs", "UD-Q4_K_XL", "BF16", "mxfp4".
bool is_quantisation(std::string_view text);

// Where several quantisations of a model are there, the least rank answers to the name without tag:
// Q4_K_M, Q4_K_S, Q4_0, Q5_K_M, Q6_K, Q8_0, BF16, F16, F32, then the others.
std::size_t quantisation_rank(std::string_view quantisation);

// "NAME-00002-of-00003.gguf".
std::string gguf_part_name(std::string_view name, std::size_t part, std::size_t parts);

// All files of a model whose first is given, by their names: itself, where it is not split.
std::vector<std::filesystem::path> gguf_part_files(const std::filesystem::path& first);

}  // namespace hearth::models
