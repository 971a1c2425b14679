#include "testing/gguf_split.h"

#include <cstdint>
#include <fstream>
#include <span>
#include <stdexcept>
#include <string_view>

#include "models/gguf.h"
#include "models/gguf_name.h"
#include "testing/gguf_file.h"

namespace hearth::testing {
namespace {

namespace fs = std::filesystem;
using models::GgufTensor;
using models::GgufType;

constexpr std::size_t kAlign = 32;
constexpr std::size_t kHeadBytes = 24;  // magic, version and two counts

std::string bytes_of(const fs::path& file) {
    std::ifstream stream(file, std::ios::binary);
    return {std::istreambuf_iterator<char>(stream), {}};
}

class PartWriter {
  public:
    template <class T>
    void put(T value) {
        out_.append(reinterpret_cast<const char*>(&value), sizeof(T));
    }
    void text(std::string_view value) {
        put(std::uint64_t{value.size()});
        out_ += value;
    }
    template <class T>
    void entry(std::string_view key, GgufType type, T value) {
        text(key);
        put(static_cast<std::uint32_t>(type));
        put(value);
    }
    void raw(std::string_view bytes) { out_ += bytes; }
    void pad() { out_.append((kAlign - out_.size() % kAlign) % kAlign, '\0'); }
    const std::string& bytes() const { return out_; }

  private:
    std::string out_;
};

struct Part {
    std::string_view entries;  // of the whole model; the first part's only
    std::uint64_t entry_count = 0;
    std::span<const GgufTensor> tensors;
    std::string_view data;
};

std::string file_of(const Part& part, std::uint16_t number, std::int32_t tensors_of_all) {
    PartWriter out;
    out.raw("GGUF");
    out.put(std::uint32_t{3});
    out.put(std::uint64_t{part.tensors.size()});
    out.put(part.entry_count + 3);
    out.raw(part.entries);
    out.entry("split.no", GgufType::U16, number);
    out.entry("split.count", GgufType::U16, std::uint16_t{2});
    out.entry("split.tensors.count", GgufType::I32, tensors_of_all);
    std::uint64_t offset = 0;
    for (const GgufTensor& tensor : part.tensors) {
        out.text(tensor.name);
        out.put(static_cast<std::uint32_t>(tensor.shape.size()));
        for (const std::uint64_t extent : tensor.shape) out.put(extent);
        out.put(tensor.type);
        out.put(offset);
        offset += (tensor.bytes + kAlign - 1) / kAlign * kAlign;
    }
    out.pad();
    out.raw(part.data);
    return out.bytes();
}

}  // namespace

std::vector<fs::path> split_gguf(const fs::path& file, const fs::path& folder,
                                 const std::string& stem) {
    const std::string whole = bytes_of(file);
    const auto header = models::read_gguf_header(file);
    const auto entries = split_gguf_entries(whole);
    if (!header || !entries) throw std::runtime_error(file.string() + " is no model");
    const std::string_view last = entries->back().value;
    const auto entries_end = static_cast<std::size_t>(last.data() + last.size() - whole.data());
    const std::size_t half = header->tensors.size() / 2;
    std::size_t cut = 0;
    for (std::size_t i = 0; i < half; ++i) {
        cut += (header->tensors[i].bytes + kAlign - 1) / kAlign * kAlign;
    }
    const std::span<const GgufTensor> tensors(header->tensors);
    const std::string_view data = std::string_view(whole).substr(header->data_offset);
    const Part parts[] = {
        {.entries = std::string_view(whole).substr(kHeadBytes, entries_end - kHeadBytes),
         .entry_count = entries->size(),
         .tensors = tensors.first(half),
         .data = data.substr(0, cut)},
        {.entries = {}, .tensors = tensors.subspan(half), .data = data.substr(cut)}};
    std::vector<fs::path> files;
    for (std::uint16_t i = 0; i < 2; ++i) {
        files.push_back(folder / models::gguf_part_name(stem, i + 1U, 2));
        std::ofstream out(files.back(), std::ios::binary);
        out << file_of(parts[i], i, static_cast<std::int32_t>(tensors.size()));
        if (!out.flush()) throw std::runtime_error(files.back().string() + " cannot be written");
    }
    return files;
}

}  // namespace hearth::testing
