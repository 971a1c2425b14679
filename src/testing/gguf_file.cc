#include "testing/gguf_file.h"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstring>
#include <fstream>
#include <optional>
#include <type_traits>

#include "base/format.h"

namespace hearth::testing {
namespace {

namespace fs = std::filesystem;
using models::GgufType;

static_assert(std::endian::native == std::endian::little);

constexpr std::uint64_t kEntriesMax = 65'536;
constexpr std::uint64_t kAlignment = 32;
constexpr std::size_t kChunkBytes = 1 << 20;

// Reads forward and never past the end.
class Cursor {
  public:
    explicit Cursor(std::string_view bytes) : bytes_(bytes) {}

    std::size_t at() const { return at_; }

    template <class T>
    Result<T> number() {
        TRY(const std::string_view raw, take(sizeof(T)));
        T value;
        std::memcpy(&value, raw.data(), sizeof(T));
        return value;
    }
    Result<std::string_view> text() {
        TRY(const std::uint64_t length, number<std::uint64_t>());
        return take(length);
    }
    Result<std::string_view> take(std::uint64_t count) {
        if (count > bytes_.size() - at_)
            return fail(Code::InvalidArgument, "its header ends early");
        at_ += count;
        return bytes_.substr(at_ - count, count);
    }

  private:
    std::string_view bytes_;
    std::size_t at_ = 0;
};

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
        case GgufType::String:
        case GgufType::List: break;
    }
    return std::nullopt;
}

Result<void> skip_list(Cursor& cursor) {
    TRY(const std::uint32_t type, cursor.number<std::uint32_t>());
    TRY(const std::uint64_t count, cursor.number<std::uint64_t>());
    if (static_cast<GgufType>(type) == GgufType::String) {
        for (std::uint64_t i = 0; i < count; ++i) TRY_VOID(cursor.text());
        return {};
    }
    const auto each = scalar_bytes(static_cast<GgufType>(type));
    if (!each || count > UINT64_MAX / *each) {
        return fail(Code::InvalidArgument, "it has a list of an unknown type");
    }
    TRY_VOID(cursor.take(count * *each));
    return {};
}

Result<void> skip_value(Cursor& cursor, GgufType type) {
    if (type == GgufType::List) return skip_list(cursor);
    if (type == GgufType::String) {
        TRY_VOID(cursor.text());
        return {};
    }
    const auto bytes = scalar_bytes(type);
    if (!bytes) return fail(Code::InvalidArgument, "it has a value of an unknown type");
    TRY_VOID(cursor.take(*bytes));
    return {};
}

template <class T>
void put(std::string& to, T value) {
    static_assert(std::is_arithmetic_v<T>);
    to.append(reinterpret_cast<const char*>(&value), sizeof(T));
}

void put_text(std::string& to, std::string_view text) {
    put(to, std::uint64_t{text.size()});
    to += text;
}

void put_list_head(std::string& to, GgufType type, std::size_t count) {
    put(to, static_cast<std::uint32_t>(type));
    put(to, std::uint64_t{count});
}

std::uint64_t padding(std::uint64_t bytes) {
    return (kAlignment - bytes % kAlignment) % kAlignment;
}

void write_tensor(std::ostream& out, const WeightTensor& tensor) {
    const std::uint64_t row_bytes = tensor.row_bytes();
    const std::uint64_t rows_at_once = std::max<std::uint64_t>(1, kChunkBytes / row_bytes);
    std::vector<std::byte> chunk(row_bytes * std::min(rows_at_once, tensor.rows()));
    RandomRows rows(tensor);
    for (std::uint64_t left = tensor.rows(); left > 0 && out;) {
        const std::uint64_t count = std::min(rows_at_once, left);
        const std::span<std::byte> part = std::span(chunk).first(count * row_bytes);
        rows.fill(part);
        out.write(reinterpret_cast<const char*>(part.data()),
                  static_cast<std::streamsize>(part.size()));
        left -= count;
    }
    constexpr char kZeros[kAlignment] = {};
    out.write(kZeros, static_cast<std::streamsize>(padding(tensor.rows() * row_bytes)));
}

}  // namespace

Result<std::vector<GgufEntry>> split_gguf_entries(std::string_view file) {
    Cursor cursor(file);
    TRY(const std::string_view magic, cursor.take(4));
    TRY(const std::uint32_t version, cursor.number<std::uint32_t>());
    if (magic != "GGUF" || version != 3) {
        return fail(Code::InvalidArgument, "it is no GGUF file of version 3");
    }
    TRY_VOID(cursor.take(8));  // the number of tensors
    TRY(const std::uint64_t count, cursor.number<std::uint64_t>());
    if (count > kEntriesMax) return fail(Code::InvalidArgument, "it has too many keys");
    std::vector<GgufEntry> entries(count);
    for (GgufEntry& entry : entries) {
        TRY(entry.key, cursor.text());
        TRY(const std::uint32_t type, cursor.number<std::uint32_t>());
        entry.type = static_cast<GgufType>(type);
        const std::size_t begin = cursor.at();
        TRY_VOID(skip_value(cursor, entry.type));
        entry.value = file.substr(begin, cursor.at() - begin);
    }
    return entries;
}

Result<std::vector<std::string_view>> split_gguf_texts(std::string_view value) {
    Cursor cursor(value);
    TRY(const std::uint32_t type, cursor.number<std::uint32_t>());
    TRY(const std::uint64_t count, cursor.number<std::uint64_t>());
    if (static_cast<GgufType>(type) != GgufType::String || count > value.size() / 8) {
        return fail(Code::InvalidArgument, "it is no list of texts");
    }
    std::vector<std::string_view> texts(count);
    for (std::string_view& text : texts) {
        TRY(text, cursor.text());
    }
    return texts;
}

void GgufFile::text(std::string_view key, std::string_view value) {
    begin(key, GgufType::String);
    put_text(values_, value);
}

void GgufFile::number(std::string_view key, std::uint32_t value) {
    begin(key, GgufType::U32);
    put(values_, value);
}

void GgufFile::real(std::string_view key, float value) {
    begin(key, GgufType::F32);
    put(values_, value);
}

void GgufFile::flag(std::string_view key, bool value) {
    begin(key, GgufType::Bool);
    put(values_, std::uint8_t{value});
}

void GgufFile::reals(std::string_view key, const std::vector<float>& values) {
    begin(key, GgufType::List);
    put_list_head(values_, GgufType::F32, values.size());
    for (const float value : values) put(values_, value);
}

void GgufFile::texts(std::string_view key, const std::vector<std::string_view>& values) {
    begin(key, GgufType::List);
    put_list_head(values_, GgufType::String, values.size());
    for (const std::string_view value : values) put_text(values_, value);
}

void GgufFile::entry(const GgufEntry& entry) {
    begin(entry.key, entry.type);
    values_ += entry.value;
}

void GgufFile::set(std::string_view tensor, const std::vector<SetWeight>& values) {
    const auto found = std::ranges::find(tensors_, tensor, &WeightTensor::name);
    CHECK(found != tensors_.end());
    found->set.insert(found->set.end(), values.begin(), values.end());
    std::ranges::sort(found->set, {}, &SetWeight::row);
}

void GgufFile::begin(std::string_view key, GgufType type) {
    put_text(values_, key);
    put(values_, static_cast<std::uint32_t>(type));
    ++value_count_;
}

std::string GgufFile::header() const {
    std::string bytes = "GGUF";
    put(bytes, std::uint32_t{3});
    put(bytes, std::uint64_t{tensors_.size()});
    put(bytes, value_count_);
    bytes += values_;
    std::uint64_t offset = 0;
    for (const WeightTensor& tensor : tensors_) {
        put_text(bytes, tensor.name);
        put(bytes, static_cast<std::uint32_t>(tensor.shape.size()));
        for (const std::uint64_t extent : tensor.shape) put(bytes, extent);
        put(bytes, static_cast<std::uint32_t>(tensor.type));
        put(bytes, offset);
        const std::uint64_t size = tensor.rows() * tensor.row_bytes();
        offset += size + padding(size);
    }
    bytes.append(padding(bytes.size()), '\0');
    return bytes;
}

Result<void> GgufFile::write(const fs::path& path) const {
    static std::atomic<unsigned> number = 0;
    std::error_code error;
    fs::create_directories(path.parent_path(), error);
    // No name that anybody takes for a model.
    const fs::path part = path.parent_path() /
                          format(".{}.{}.{}.part", path.filename().string(), ::getpid(), number++);
    std::ofstream out(part, std::ios::binary);
    const std::string front = header();
    out.write(front.data(), static_cast<std::streamsize>(front.size()));
    for (const WeightTensor& tensor : tensors_) write_tensor(out, tensor);
    out.close();
    if (out) fs::rename(part, path, error);
    if (out && !error) return {};
    fs::remove(part, error);
    return fail(Code::Internal, format("{} could not be written", path.string()));
}

}  // namespace hearth::testing
