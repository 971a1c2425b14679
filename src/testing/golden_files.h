#pragma once

#include <filesystem>

// Where the tests find what the reference scripts wrote, and the default model.
namespace hearth::testing {

inline const std::filesystem::path kGolden = HEARTH_GOLDEN;
inline const std::filesystem::path kModel =
    std::filesystem::path(HEARTH_PREFIX_PATH) / "models/all-minilm";

}  // namespace hearth::testing
