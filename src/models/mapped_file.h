#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <string_view>
#include <utility>

#include "base/error.h"

namespace hearth::models {

// A regular file mapped read-only. Move-only; the bytes are valid as long as the object.
class MappedFile {
  public:
    // `name` is what messages call the file. Errors: NotFound, InvalidArgument (not a regular file,
    // empty, not readable).
    static Result<MappedFile> open(const std::filesystem::path& file, std::string_view name);

    MappedFile() = default;
    MappedFile(MappedFile&& other) noexcept : bytes_(std::exchange(other.bytes_, {})) {}
    MappedFile& operator=(MappedFile&& other) noexcept {
        std::swap(bytes_, other.bytes_);
        return *this;
    }
    ~MappedFile();

    std::span<const std::byte> bytes() const { return bytes_; }

  private:
    explicit MappedFile(std::span<const std::byte> bytes) : bytes_(bytes) {}

    std::span<const std::byte> bytes_;
};

}  // namespace hearth::models
