#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "models/mapped_file.h"

namespace hearth::models {

enum class TensorType : std::uint8_t { F32, F16, BF16 };

struct TensorView {
    TensorType type = TensorType::F32;
    std::vector<std::size_t> shape;
    // Little-endian, row-major, as aligned as the file has it; valid while the file object lives.
    std::span<const std::byte> bytes;
};

// The header of a safetensors file, checked: offsets inside the file, no overlap, sizes matching
// shapes, at most 16 MiB of header and 65,536 tensors, no byte of data unnamed. Tensors of other
// types are listed by name but refused by find().
struct SafetensorsHeader {
    struct Entry {
        std::string type;
        std::vector<std::size_t> shape;
        std::size_t begin = 0;  // bytes from the end of the header
        std::size_t end = 0;
    };
    std::map<std::string, Entry> entries;
    std::size_t data_offset = 0;
};

// `front` is the beginning of the file (at least the header), `file_bytes` its whole size.
// Errors: InvalidArgument with one sentence.
Result<SafetensorsHeader> parse_safetensors_header(std::span<const std::byte> front,
                                                   std::uint64_t file_bytes);

// A memory-mapped safetensors file. Immutable, thread-safe. Source: huggingface/safetensors, format
// 0.4.
class Safetensors {
  public:
    static Result<std::unique_ptr<Safetensors>> open(const std::filesystem::path& file);
    const SafetensorsHeader& header() const { return header_; }
    // The whole file, header included; valid while this object lives.
    std::span<const std::byte> bytes() const { return file_.bytes(); }
    // Errors: NotFound, InvalidArgument (unsupported type).
    Result<TensorView> find(std::string_view name) const;

  private:
    Safetensors() = default;
    SafetensorsHeader header_;
    MappedFile file_;
};

}  // namespace hearth::models
