#pragma once

// For tests and measurements only: GGUF files with weights, and the keys of existing ones.
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "models/gguf.h"
#include "testing/random_weights.h"

namespace hearth::testing {

// A key with its value as it stands in a file.
struct GgufEntry {
    std::string_view key;
    models::GgufType type = models::GgufType::U8;
    std::string_view value;
};

// The keys of a file (version 3, little-endian) in its order; the views point into `file`. At most
// 65,536 keys. Errors: InvalidArgument.
Result<std::vector<GgufEntry>> split_gguf_entries(std::string_view file);

// The texts of a list's value. Errors: InvalidArgument.
Result<std::vector<std::string_view>> split_gguf_texts(std::string_view value);

// A file in the making. Keys and tensors are written in the order in which they are added.
class GgufFile {
  public:
    void text(std::string_view key, std::string_view value);
    void number(std::string_view key, std::uint32_t value);
    void real(std::string_view key, float value);
    void flag(std::string_view key, bool value);
    void reals(std::string_view key, const std::vector<float>& values);
    void texts(std::string_view key, const std::vector<std::string_view>& values);
    void entry(const GgufEntry& entry);
    void tensor(WeightTensor tensor) { tensors_.push_back(std::move(tensor)); }
    // Adds to the values set in a tensor that was added.
    void set(std::string_view tensor, const std::vector<SetWeight>& values);

    // Weights are made while they are written; memory stays below a few MiB. The file appears under
    // its name when it is whole: whoever writes the same file at the same time does no harm.
    // Errors: Internal when the disk refuses.
    Result<void> write(const std::filesystem::path& path) const;

  private:
    void begin(std::string_view key, models::GgufType type);
    std::string header() const;

    std::string values_;
    std::uint64_t value_count_ = 0;
    std::vector<WeightTensor> tensors_;
};

}  // namespace hearth::testing
