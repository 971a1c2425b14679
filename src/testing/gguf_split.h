#pragma once

// For tests only: models in two files, as llama-gguf-split makes them.
#include <filesystem>
#include <string>
#include <vector>

namespace hearth::testing {

// Writes the model in `file` as STEM-00001-of-00002.gguf and STEM-00002-of-00002.gguf into
// `folder`. Returns both. Throws std::runtime_error when it is no model or the disk refuses.
std::vector<std::filesystem::path> split_gguf(const std::filesystem::path& file,
                                              const std::filesystem::path& folder,
                                              const std::string& stem);

}  // namespace hearth::testing
