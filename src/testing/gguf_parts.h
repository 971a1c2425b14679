#pragma once

// What the made models have in common.
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "testing/gguf_file.h"

namespace hearth::testing {

// Every made file says which recipe made it. Raise the number when a byte of any tiny model
// changes: files of another are written again.
inline constexpr std::uint32_t kRecipe = 1;
inline constexpr std::string_view kRecipeKey = "hearth.testing.recipe";

// A file of llama.cpp that ./dev setup installs.
std::filesystem::path shared_file(std::string_view name);

// The keys that every file begins with. `type` is that of its matrices.
void add_general(GgufFile& file, std::string_view architecture, std::string_view name,
                 WeightType type);

// A matrix that keeps the size of what it multiplies.
WeightTensor matrix(std::string name, WeightType type, std::vector<std::uint64_t> shape);
WeightTensor bias(std::string name, std::uint64_t size);
WeightTensor norm(std::string name, std::uint64_t size);  // all ones

}  // namespace hearth::testing
