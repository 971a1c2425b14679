#include "testing/gguf_parts.h"

#include <cmath>
#include <utility>

namespace hearth::testing {

std::filesystem::path shared_file(std::string_view name) {
    return std::filesystem::path(HEARTH_LLAMA_SHARE) / name;
}

void add_general(GgufFile& file, std::string_view architecture, std::string_view name,
                 WeightType type) {
    file.text("general.architecture", architecture);
    file.text("general.type", architecture == "clip" ? "mmproj" : "model");
    file.text("general.name", name);
    constexpr std::uint32_t kMostlyF16 = 1;
    constexpr std::uint32_t kMostlyQ8 = 7;
    file.number("general.file_type", type == WeightType::Q8_0 ? kMostlyQ8 : kMostlyF16);
    file.number("general.quantization_version", 2);
    file.number(kRecipeKey, kRecipe);
}

WeightTensor matrix(std::string name, WeightType type, std::vector<std::uint64_t> shape) {
    const float deviation = 1 / std::sqrt(static_cast<float>(shape.front()));
    return {
        .name = std::move(name), .type = type, .shape = std::move(shape), .deviation = deviation};
}

WeightTensor bias(std::string name, std::uint64_t size) {
    return {.name = std::move(name), .shape = {size}, .deviation = 0.1F};
}

WeightTensor norm(std::string name, std::uint64_t size) {
    return {.name = std::move(name), .shape = {size}, .mean = 1};
}

}  // namespace hearth::testing
