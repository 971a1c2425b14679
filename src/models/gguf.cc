#include "models/gguf.h"

#include <algorithm>
#include <array>
#include <bit>
#include <limits>
#include <set>
#include <type_traits>

#include "base/format.h"
#include "models/mapped_file.h"

namespace hearth::models {
namespace {

constexpr std::uint64_t kHeaderEntriesMax = 65'536;  // keys, and tensors
constexpr std::uint64_t kKeyBytesMax = 65'535;
constexpr std::uint64_t kTextBytesMax = 16 << 20;
constexpr std::uint32_t kGgufDimensionsMax = 4;
constexpr std::uint64_t kAlignmentDefault = 32;
constexpr std::uint64_t kAlignmentMax = 1 << 20;

std::optional<std::uint64_t> scalar_bytes(GgufType type) {
    switch (type) {
        case GgufType::U8:
        case GgufType::I8:
        case GgufType::Bool: return 1;
        case GgufType::U16:
        case GgufType::I16: return 2;
        case GgufType::U32:
        case GgufType::I32:
        case GgufType::F32: return 4;
        case GgufType::U64:
        case GgufType::I64:
        case GgufType::F64: return 8;
        default: return std::nullopt;
    }
}

// Reads forward and never past the end. The first failure sticks: callers check at the seams.
class Reader {
  public:
    explicit Reader(std::span<const std::byte> bytes) : bytes_(bytes) {}

    std::uint64_t at() const { return at_; }
    std::uint64_t left() const { return bytes_.size() - at_; }

    template <class T>
    Result<T> number() {
        if (left() < sizeof(T)) return invalid("its header ends in the middle of a number");
        std::array<std::byte, sizeof(T)> raw;
        std::ranges::copy(bytes_.subspan(at_, sizeof(T)), raw.begin());
        if constexpr (std::endian::native == std::endian::big) std::ranges::reverse(raw);
        at_ += sizeof(T);
        return std::bit_cast<T>(raw);
    }

    Result<std::string_view> text(std::uint64_t bytes_max, std::string_view what) {
        TRY(const std::uint64_t length, number<std::uint64_t>());
        if (length > bytes_max) {
            return invalid(
                format("{} claims {} bytes; at most {} are read", what, length, bytes_max));
        }
        if (length > left()) return invalid(format("its header ends inside {}", what));
        const auto* from = reinterpret_cast<const char*>(bytes_.data()) + at_;
        at_ += length;
        return std::string_view(from, length);
    }

    Result<void> skip(std::uint64_t count, std::uint64_t each) {
        if (count > left() / each) return invalid("its header ends inside a list");
        at_ += count * each;
        return {};
    }

  private:
    std::span<const std::byte> bytes_;
    std::uint64_t at_ = 0;
};

template <class T>
Result<GgufValue> read_number(Reader& reader) {
    TRY(const T value, reader.number<T>());
    if constexpr (std::is_floating_point_v<T>) {
        return GgufValue(static_cast<double>(value));
    } else if constexpr (std::is_signed_v<T>) {
        return GgufValue(static_cast<std::int64_t>(value));
    } else {
        return GgufValue(static_cast<std::uint64_t>(value));
    }
}

Result<void> skip_list(Reader& reader, GgufType type, std::uint64_t count, bool nested) {
    if (const auto each = scalar_bytes(type)) return reader.skip(count, *each);
    if (type == GgufType::String) {
        for (std::uint64_t i = 0; i < count; ++i) {
            TRY_VOID(reader.text(kTextBytesMax, "a text in a list"));
        }
        return {};
    }
    if (type != GgufType::List || nested) return invalid("it has a list of an unknown type");
    for (std::uint64_t i = 0; i < count; ++i) {
        TRY(const std::uint32_t inner, reader.number<std::uint32_t>());
        TRY(const std::uint64_t inner_count, reader.number<std::uint64_t>());
        TRY_VOID(skip_list(reader, static_cast<GgufType>(inner), inner_count, true));
    }
    return {};
}

Result<GgufValue> read_value(Reader& reader, GgufType type) {
    switch (type) {
        case GgufType::U8: return read_number<std::uint8_t>(reader);
        case GgufType::I8: return read_number<std::int8_t>(reader);
        case GgufType::U16: return read_number<std::uint16_t>(reader);
        case GgufType::I16: return read_number<std::int16_t>(reader);
        case GgufType::U32: return read_number<std::uint32_t>(reader);
        case GgufType::I32: return read_number<std::int32_t>(reader);
        case GgufType::F32: return read_number<float>(reader);
        case GgufType::U64: return read_number<std::uint64_t>(reader);
        case GgufType::I64: return read_number<std::int64_t>(reader);
        case GgufType::F64: return read_number<double>(reader);
        case GgufType::Bool: {
            TRY(const std::uint8_t value, reader.number<std::uint8_t>());
            return GgufValue(value != 0);
        }
        case GgufType::String: {
            TRY(const std::string_view text, reader.text(kTextBytesMax, "a text"));
            return GgufValue(std::string(text));
        }
        case GgufType::List: {
            TRY(const std::uint32_t inner, reader.number<std::uint32_t>());
            GgufList list{.type = static_cast<GgufType>(inner), .count = 0, .offset = 0};
            TRY(list.count, reader.number<std::uint64_t>());
            list.offset = reader.at();
            TRY_VOID(skip_list(reader, list.type, list.count, false));
            return GgufValue(list);
        }
    }
    return invalid(format("it is of the unknown type {}", static_cast<std::uint32_t>(type)));
}

Result<void> read_values(Reader& reader, std::uint64_t count, GgufHeader& header) {
    for (std::uint64_t i = 0; i < count; ++i) {
        TRY(const std::string_view key, reader.text(kKeyBytesMax, "the name of a key"));
        TRY(const std::uint32_t type, reader.number<std::uint32_t>());
        auto value = read_value(reader, static_cast<GgufType>(type));
        if (!value) return fail(std::move(value).error().within(format("key \"{}\"", key)));
        if (!header.values.emplace(key, *std::move(value)).second) {
            return invalid(format("key \"{}\" comes twice", key));
        }
    }
    return {};
}

Result<void> measure(GgufTensor& tensor) {
    const GgufTensorType* type = gguf_tensor_type(tensor.type);
    if (type == nullptr) return invalid(format("it is of the unknown type {}", tensor.type));
    constexpr std::uint64_t kMost = std::numeric_limits<std::int64_t>::max();
    tensor.elements = 1;
    for (const std::uint64_t extent : tensor.shape) {
        if (extent == 0 || extent > kMost / 8 / tensor.elements) {
            return invalid("it has an absurd shape");
        }
        tensor.elements *= extent;
    }
    if (tensor.shape.front() % type->block_elements != 0) {
        return invalid(format("its rows of {} do not fill blocks of {}", tensor.shape.front(),
                              type->block_elements));
    }
    const std::uint64_t blocks = tensor.elements / type->block_elements;
    if (blocks > kMost / type->block_bytes) return invalid("it has an absurd shape");
    tensor.bytes = blocks * type->block_bytes;
    return {};
}

Result<GgufTensor> read_tensor(Reader& reader, std::string_view name, std::uint64_t& offset) {
    GgufTensor tensor;
    tensor.name = name;
    TRY(const std::uint32_t dimensions, reader.number<std::uint32_t>());
    if (dimensions == 0 || dimensions > kGgufDimensionsMax) {
        return invalid(
            format("it has {} dimensions; 1 to {} are read", dimensions, kGgufDimensionsMax));
    }
    for (std::uint32_t d = 0; d < dimensions; ++d) {
        TRY(tensor.shape.emplace_back(), reader.number<std::uint64_t>());
    }
    TRY(tensor.type, reader.number<std::uint32_t>());
    TRY(offset, reader.number<std::uint64_t>());
    TRY_VOID(measure(tensor));
    return tensor;
}

Result<std::uint64_t> alignment_of(const GgufHeader& header) {
    if (header.find("general.alignment") == nullptr) return kAlignmentDefault;
    const auto alignment = header.number("general.alignment");
    if (!alignment || !std::has_single_bit(*alignment) || *alignment > kAlignmentMax) {
        return invalid("general.alignment is not a power of two");
    }
    return *alignment;
}

// Tensors stand one behind the other, each on the alignment. `end` is set to the end of the last.
Result<void> read_tensors(Reader& reader, std::uint64_t count, std::uint64_t alignment,
                          GgufHeader& header, std::uint64_t& end) {
    std::set<std::string_view> names;
    std::uint64_t expected = 0;
    for (std::uint64_t i = 0; i < count; ++i) {
        TRY(const std::string_view name, reader.text(kKeyBytesMax, "the name of a tensor"));
        std::uint64_t offset = 0;
        auto tensor = read_tensor(reader, name, offset);
        if (!tensor) return fail(std::move(tensor).error().within(format("tensor \"{}\"", name)));
        if (!names.insert(name).second) return invalid(format("tensor \"{}\" comes twice", name));
        if (offset != expected) {
            return invalid(
                format("tensor \"{}\" stands at {} where {} is its place", name, offset, expected));
        }
        end = offset + tensor->bytes;
        expected = (end + alignment - 1) / alignment * alignment;
        if (expected < offset) return invalid(format("tensor \"{}\" is absurdly large", name));
        header.tensors.push_back(*std::move(tensor));
    }
    return {};
}

}  // namespace

const GgufValue* GgufHeader::find(std::string_view key) const {
    const auto found = values.find(key);
    return found != values.end() ? &found->second : nullptr;
}

std::string_view GgufHeader::text(std::string_view key) const {
    const GgufValue* value = find(key);
    const auto* text = value != nullptr ? std::get_if<std::string>(value) : nullptr;
    return text != nullptr ? std::string_view(*text) : std::string_view{};
}

std::optional<std::uint64_t> GgufHeader::number(std::string_view key) const {
    const GgufValue* value = find(key);
    if (value == nullptr) return std::nullopt;
    if (const auto* plain = std::get_if<std::uint64_t>(value)) return *plain;
    const auto* with_sign = std::get_if<std::int64_t>(value);
    if (with_sign == nullptr || *with_sign < 0) return std::nullopt;
    return static_cast<std::uint64_t>(*with_sign);
}

std::uint64_t GgufHeader::parameters() const {
    std::uint64_t total = 0;
    for (const GgufTensor& tensor : tensors) total += tensor.elements;
    return total;
}

Result<GgufHeader> parse_gguf_header(std::span<const std::byte> front, std::uint64_t file_bytes) {
    Reader reader(front.first(std::min<std::uint64_t>(front.size(), file_bytes)));
    TRY(const std::uint32_t magic, reader.number<std::uint32_t>());
    if (magic != 0x46554747) return invalid("it does not begin with \"GGUF\"");
    GgufHeader header;
    TRY(header.version, reader.number<std::uint32_t>());
    if (header.version != 2 && header.version != 3) {
        const bool turned = header.version != 0 && (header.version & 0xFFFF) == 0;
        return invalid(turned ? "it is a big-endian file; little-endian ones are read"
                              : format("it is of version {}; 2 and 3 are read", header.version));
    }
    TRY(const std::uint64_t tensors, reader.number<std::uint64_t>());
    TRY(const std::uint64_t values, reader.number<std::uint64_t>());
    if (tensors > kHeaderEntriesMax || values > kHeaderEntriesMax) {
        return invalid(format("it claims {} tensors and {} keys; at most {} of each are read",
                              tensors, values, kHeaderEntriesMax));
    }
    TRY_VOID(read_values(reader, values, header));
    TRY(const std::uint64_t alignment, alignment_of(header));
    std::uint64_t end = 0;
    TRY_VOID(read_tensors(reader, tensors, alignment, header, end));
    header.data_offset = (reader.at() + alignment - 1) / alignment * alignment;
    if (tensors > 0 && (header.data_offset > file_bytes || end > file_bytes - header.data_offset)) {
        return invalid(format("its tensors need {} bytes; the file has {}",
                              header.data_offset + end, file_bytes));
    }
    return header;
}

Result<void> visit_gguf_texts(std::span<const std::byte> front, const GgufList& list,
                              const std::function<bool(std::string_view)>& visit) {
    if (list.type != GgufType::String) return {};
    if (list.offset > front.size()) return invalid("a list begins behind the end of the file");
    Reader reader(front.subspan(list.offset));
    for (std::uint64_t i = 0; i < list.count; ++i) {
        TRY(const std::string_view text, reader.text(kTextBytesMax, "a text in a list"));
        if (!visit(text)) break;
    }
    return {};
}

Result<GgufHeader> read_gguf_header(const std::filesystem::path& file) {
    const std::string name = file.filename().string();
    TRY(const MappedFile mapped, MappedFile::open(file, name));
    auto header = parse_gguf_header(mapped.bytes(), mapped.bytes().size());
    if (!header) return fail(std::move(header).error().within(name));
    return header;
}

}  // namespace hearth::models
