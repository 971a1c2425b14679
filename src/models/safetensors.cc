#include "models/safetensors.h"

#include <algorithm>
#include <boost/json/basic_parser_impl.hpp>
#include <optional>
#include <utility>

#include "base/format.h"

namespace hearth::models {
namespace json = boost::json;
namespace {

constexpr std::size_t kHeaderBytesMax = 16 << 20;
constexpr std::size_t kTensorsMax = 65'536;
constexpr std::size_t kDimensionsMax = 8;
constexpr std::size_t kLengthBytes = 8;

using Entry = SafetensorsHeader::Entry;

// Bits of one element; nullopt for a type this program has never heard of.
std::optional<std::size_t> element_bits(std::string_view type) {
    if (type == "F32" || type == "I32" || type == "U32") return 32;
    if (type == "F16" || type == "BF16" || type == "I16" || type == "U16") return 16;
    if (type == "F64" || type == "I64" || type == "U64" || type == "C64") return 64;
    if (type == "BOOL" || type == "U8" || type == "I8" || type.starts_with("F8_")) return 8;
    return std::nullopt;
}

// Reads {"name": {"dtype": T, "shape": [..], "data_offsets": [b, e]}, "__metadata__": {..}} as it
// is parsed, so that a hostile header never becomes a tree in memory. Depth 1 is the file's object,
// 2 an entry, 3 a list inside an entry. A handler that returns false stops the parser; `problem`
// then says why.
struct HeaderHandler {
    static constexpr std::size_t max_object_size = SIZE_MAX;
    static constexpr std::size_t max_array_size = SIZE_MAX;
    static constexpr std::size_t max_key_size = SIZE_MAX;
    static constexpr std::size_t max_string_size = SIZE_MAX;
    using Ec = boost::system::error_code;

    enum class Member : std::uint8_t { Other, Type, Shape, Offsets };

    std::map<std::string, Entry> entries;
    std::string problem;
    int depth = 0;
    bool in_metadata = false;
    Member member = Member::Other;
    std::string key;
    std::string name;
    std::string text;
    Entry entry;
    std::vector<std::size_t> offsets;
    bool has_type = false;
    bool has_shape = false;

    bool stop(Ec& ec, std::string why) {
        problem = std::move(why);
        ec = json::error::syntax;
        return false;
    }
    bool stop_entry(Ec& ec, std::string_view why) {
        return stop(ec, format("tensor \"{}\" {}", name, why));
    }

    bool on_document_begin(Ec&) { return true; }
    bool on_document_end(Ec&) { return true; }

    bool on_object_begin(Ec& ec) {
        if (depth >= 2) return stop_entry(ec, "has an object where a value should stand");
        if (++depth == 2) begin_entry();
        return true;
    }
    void begin_entry() {
        in_metadata = key == "__metadata__";
        name = key;
        entry = {};
        offsets.clear();
        has_type = has_shape = false;
    }
    bool on_object_end(std::size_t, Ec& ec) {
        if (--depth != 1 || in_metadata) return true;
        if (!has_type) return stop_entry(ec, "has no dtype");
        if (!has_shape) return stop_entry(ec, "has no shape");
        if (offsets.size() != 2) return stop_entry(ec, "has no pair of data_offsets");
        entry.begin = offsets[0];
        entry.end = offsets[1];
        if (entries.size() == kTensorsMax) {
            return stop(ec, format("it names more than {} tensors", kTensorsMax));
        }
        if (!entries.emplace(name, std::move(entry)).second) {
            return stop_entry(ec, "is named twice");
        }
        return true;
    }

    bool on_array_begin(Ec& ec) {
        if (depth != 2 || in_metadata || (member != Member::Shape && member != Member::Offsets)) {
            return stop(ec, format("\"{}\" has a list where none belongs", key));
        }
        if (member == Member::Shape) {
            has_shape = true;
            entry.shape.clear();
        } else {
            offsets.clear();
        }
        ++depth;
        return true;
    }
    bool on_array_end(std::size_t, Ec&) {
        --depth;
        return true;
    }

    bool on_key_part(json::string_view part, std::size_t, Ec&) {
        text.append(part);
        return true;
    }
    bool on_key(json::string_view part, std::size_t, Ec&) {
        text.append(part);
        key = std::exchange(text, {});
        if (depth == 2) {
            member = key == "dtype"          ? Member::Type
                     : key == "shape"        ? Member::Shape
                     : key == "data_offsets" ? Member::Offsets
                                             : Member::Other;
        }
        return true;
    }

    bool on_string_part(json::string_view part, std::size_t, Ec&) {
        text.append(part);
        return true;
    }
    bool on_string(json::string_view part, std::size_t, Ec& ec) {
        text.append(part);
        std::string value = std::exchange(text, {});
        if (depth == 2 && !in_metadata && member == Member::Type) {
            has_type = true;
            entry.type = std::move(value);
            return true;
        }
        return on_scalar(ec);
    }

    bool on_number_part(json::string_view, Ec&) { return true; }
    bool on_int64(std::int64_t value, json::string_view, Ec& ec) {
        if (value < 0) return stop_entry(ec, "has a negative size or offset");
        return on_size(static_cast<std::uint64_t>(value), ec);
    }
    bool on_uint64(std::uint64_t value, json::string_view, Ec& ec) { return on_size(value, ec); }
    bool on_double(double, json::string_view, Ec& ec) { return on_scalar(ec); }
    bool on_bool(bool, Ec& ec) { return on_scalar(ec); }
    bool on_null(Ec& ec) { return on_scalar(ec); }
    bool on_comment_part(json::string_view, Ec&) { return true; }
    bool on_comment(json::string_view, Ec&) { return true; }

    bool on_size(std::uint64_t value, Ec& ec) {
        if (depth != 3) return on_scalar(ec);
        auto& list = member == Member::Shape ? entry.shape : offsets;
        const std::size_t most = member == Member::Shape ? kDimensionsMax : 2;
        if (list.size() == most) {
            return stop_entry(ec, member == Member::Shape ? "has more than 8 dimensions"
                                                          : "has more than two data_offsets");
        }
        list.push_back(value);
        return true;
    }
    // A value that is neither a dtype nor a size: fine in metadata and in members unknown to us.
    bool on_scalar(Ec& ec) {
        if (depth == 2 && (in_metadata || member == Member::Other)) return true;
        if (depth >= 2) return stop_entry(ec, "has a value of the wrong kind");
        return stop(ec, format("\"{}\" should be an object", key));
    }
};

Result<void> check_size(std::string_view name, const Entry& entry, std::size_t data_bytes) {
    if (entry.begin > entry.end) {
        return invalid(format("tensor \"{}\" ends before it begins", name));
    }
    if (entry.end > data_bytes) {
        return invalid(format("tensor \"{}\" reaches byte {} of {}: the file is cut short", name,
                              entry.end, data_bytes));
    }
    const auto bits = element_bits(entry.type);
    if (!bits) return {};
    std::size_t total = *bits;
    for (const std::size_t extent : entry.shape) {
        if (__builtin_mul_overflow(total, extent, &total)) {
            return invalid(format("tensor \"{}\" has an absurd shape", name));
        }
    }
    if (total % 8 != 0 || total / 8 != entry.end - entry.begin) {
        return invalid(format("tensor \"{}\" has {} bytes where its shape needs {}", name,
                              entry.end - entry.begin, total / 8));
    }
    return {};
}

// The format demands that tensors cover the data exactly: no hole, no overlap, nothing behind.
Result<void> check_layout(const std::map<std::string, Entry>& entries, std::size_t data_bytes) {
    std::vector<std::pair<const std::string*, const Entry*>> order;
    order.reserve(entries.size());
    for (const auto& [name, entry] : entries) {
        TRY_VOID(check_size(name, entry, data_bytes));
        order.emplace_back(&name, &entry);
    }
    std::ranges::sort(order, {}, [](const auto& item) {
        return std::pair(item.second->begin, item.second->end);
    });
    std::size_t at = 0;
    for (const auto& [name, entry] : order) {
        if (entry->begin < at) {
            return invalid(format("tensor \"{}\" overlaps the one before it", *name));
        }
        if (entry->begin > at) {
            return invalid(format("no tensor covers the bytes {} to {}", at, entry->begin));
        }
        at = entry->end;
    }
    if (at != data_bytes) {
        return invalid(format("the file has {} bytes behind its last tensor", data_bytes - at));
    }
    return {};
}

std::uint64_t read_length(std::span<const std::byte> front) {
    std::uint64_t length = 0;
    for (std::size_t i = 0; i < kLengthBytes; ++i) {
        length |= std::to_integer<std::uint64_t>(front[i]) << (8 * i);
    }
    return length;
}

Result<SafetensorsHeader> parse_header(std::span<const std::byte> front, std::uint64_t file_bytes) {
    if (front.size() < kLengthBytes || file_bytes < kLengthBytes) {
        return invalid(format("the file is only {} bytes long", file_bytes));
    }
    const std::uint64_t length = read_length(front);
    if (length > kHeaderBytesMax) {
        return invalid(
            format("its header claims {} bytes; at most {} are read", length, kHeaderBytesMax));
    }
    if (length > file_bytes - kLengthBytes || length > front.size() - kLengthBytes) {
        return invalid(format("its header claims {} bytes, more than the file has", length));
    }
    const auto* text = reinterpret_cast<const char*>(front.data()) + kLengthBytes;
    if (length == 0 || text[0] != '{') return invalid("its header is not a JSON object");

    json::parse_options options;
    options.max_depth = 4;
    json::basic_parser<HeaderHandler> parser(options);
    boost::system::error_code error;
    const std::size_t used = parser.write_some(false, text, length, error);
    HeaderHandler& handler = parser.handler();
    if (!handler.problem.empty()) return invalid(std::move(handler.problem));
    if (!error && used < length) error = json::error::extra_data;
    if (error) {
        return invalid(
            format("its header is not valid JSON: {} at byte {}", error.message(), used));
    }
    const std::size_t data_offset = kLengthBytes + length;
    TRY_VOID(check_layout(handler.entries, file_bytes - data_offset));
    return SafetensorsHeader{.entries = std::move(handler.entries), .data_offset = data_offset};
}

std::optional<TensorType> tensor_type(std::string_view type) {
    if (type == "F32") return TensorType::F32;
    if (type == "F16") return TensorType::F16;
    if (type == "BF16") return TensorType::BF16;
    return std::nullopt;
}

}  // namespace

Result<SafetensorsHeader> parse_safetensors_header(std::span<const std::byte> front,
                                                   std::uint64_t file_bytes) {
    return parse_header(front, file_bytes);
}

Result<std::unique_ptr<Safetensors>> Safetensors::open(const std::filesystem::path& file) {
    const std::string name = file.filename().string();
    std::unique_ptr<Safetensors> opened(new Safetensors);
    TRY(opened->file_, MappedFile::open(file, name));
    auto header = parse_safetensors_header(opened->bytes(), opened->bytes().size());
    if (!header) return fail(std::move(header).error().within(name));
    opened->header_ = *std::move(header);
    return opened;
}

Result<TensorView> Safetensors::find(std::string_view name) const {
    const auto found = header_.entries.find(std::string(name));
    if (found == header_.entries.end()) {
        return fail(Code::NotFound, format("there is no tensor \"{}\"", name));
    }
    const Entry& entry = found->second;
    const auto type = tensor_type(entry.type);
    if (!type) {
        return invalid(
            format("tensor \"{}\" is of type {}; F32, F16 and BF16 are read", name, entry.type));
    }
    return TensorView{
        .type = *type,
        .shape = entry.shape,
        .bytes = bytes().subspan(header_.data_offset + entry.begin, entry.end - entry.begin)};
}

}  // namespace hearth::models
