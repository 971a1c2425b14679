#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/error.h"

namespace hearth::models {

// Value types of the format, with its own numbers.
enum class GgufType : std::uint32_t {
    U8,
    I8,
    U16,
    I16,
    U32,
    I32,
    F32,
    Bool,
    String,
    List,
    U64,
    I64,
    F64
};

// A list stays in the file: vocabularies are large, and few callers want one.
struct GgufList {
    GgufType type = GgufType::U8;
    std::uint64_t count = 0;
    std::uint64_t offset = 0;  // of its first element, from the beginning of the file
};

using GgufValue = std::variant<bool, std::uint64_t, std::int64_t, double, std::string, GgufList>;

struct GgufTensor {
    std::string name;
    std::uint32_t type = 0;            // ggml's number; gguf_tensor_type() names it
    std::vector<std::uint64_t> shape;  // the fastest dimension first, as in the file
    std::uint64_t elements = 0;
    std::uint64_t bytes = 0;
};

// The header of a GGUF file (versions 2 and 3, little-endian), checked: every count and length lies
// inside the file, at most 65,536 keys and as many tensors of 1 to 4 dimensions, names at most 64
// KiB, texts at most 16 MiB, lists nested once at most, no name twice, tensors of known types one
// behind the other as the alignment asks, the last of them inside the file.
// Source: ggml-org/ggml docs/gguf.md.
struct GgufHeader {
    std::uint32_t version = 0;
    std::map<std::string, GgufValue, std::less<>> values;
    std::vector<GgufTensor> tensors;  // in the file's order
    std::uint64_t data_offset = 0;

    const GgufValue* find(std::string_view key) const;
    // Empty: absent, or of another type.
    std::string_view text(std::string_view key) const;
    // Whole numbers of any width that are not negative.
    std::optional<std::uint64_t> number(std::string_view key) const;
    std::uint64_t parameters() const;  // elements of all tensors
};

// `front` is the beginning of the file (at least the header), `file_bytes` its whole size.
// Errors: InvalidArgument with one sentence.
Result<GgufHeader> parse_gguf_header(std::span<const std::byte> front, std::uint64_t file_bytes);

// Calls `visit` with each text of a list, in order, until it returns false. `front` is what the
// header was parsed from, `list` one of its values; lists of other types have no texts. The texts
// are views into `front`. Errors: InvalidArgument where `front` is another file.
Result<void> visit_gguf_texts(std::span<const std::byte> front, const GgufList& list,
                              const std::function<bool(std::string_view)>& visit);

// Maps the file for as long as it is read. Errors: NotFound, InvalidArgument naming the file.
Result<GgufHeader> read_gguf_header(const std::filesystem::path& file);

struct GgufTensorType {
    std::string_view name;  // "Q4_K"
    std::uint32_t block_elements = 0;
    std::uint32_t block_bytes = 0;
};

// nullptr: a number this program has never heard of.
const GgufTensorType* gguf_tensor_type(std::uint32_t type);

// The name llama.cpp and Ollama give to general.file_type ("Q4_K_M"); empty when unknown.
std::string_view gguf_file_type(std::uint64_t file_type);

// The file type's name; where the file does not say it, the type most parameters have.
std::string gguf_precision(const GgufHeader& header);

}  // namespace hearth::models
