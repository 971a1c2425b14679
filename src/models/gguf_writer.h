#pragma once

#include <bit>
#include <cstdint>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "models/gguf.h"

// Makes GGUF files for tests, right or wrong.
namespace hearth::models {

class GgufWriter {
  public:
    template <class T>
    GgufWriter& number(std::string_view key, GgufType type, T value) {
        begin(key, type);
        put(values_, value);
        return *this;
    }
    GgufWriter& text(std::string_view key, std::string_view value) {
        begin(key, GgufType::String);
        put_text(values_, value);
        return *this;
    }
    GgufWriter& texts(std::string_view key, const std::vector<std::string>& list) {
        begin(key, GgufType::List);
        put(values_, static_cast<std::uint32_t>(GgufType::String));
        put(values_, std::uint64_t{list.size()});
        for (const auto& one : list) put_text(values_, one);
        return *this;
    }
    // Bytes as they are after the key: for what no writer would write.
    GgufWriter& raw(std::string_view key, std::uint32_t type, std::string_view bytes) {
        begin(key, static_cast<GgufType>(type));
        values_ += bytes;
        return *this;
    }
    // The offset is where the tensor belongs, plus `shift`.
    GgufWriter& tensor(std::string_view name, std::uint32_t type, std::vector<std::uint64_t> shape,
                       std::uint64_t shift = 0) {
        put_text(tensors_, name);
        put(tensors_, static_cast<std::uint32_t>(shape.size()));
        std::uint64_t elements = 1;
        for (const std::uint64_t extent : shape) {
            put(tensors_, extent);
            elements *= extent;
        }
        put(tensors_, type);
        put(tensors_, data_ + shift);
        if (const GgufTensorType* known = gguf_tensor_type(type)) {
            data_ += elements / known->block_elements * known->block_bytes;
        }
        data_ = (data_ + 31) / 32 * 32;
        ++tensor_count_;
        return *this;
    }

    std::string header(std::uint32_t version = 3) const {
        std::string file = "GGUF";
        put(file, version);
        put(file, tensor_count_);
        put(file, value_count_);
        file += values_ + tensors_;
        file.append((32 - file.size() % 32) % 32, '\0');
        return file;
    }
    std::string file() const { return header() + std::string(data_, '\0'); }

  private:
    template <class T>
    static void put(std::string& to, T value) {
        static_assert(std::is_arithmetic_v<T> && std::endian::native == std::endian::little);
        to.append(reinterpret_cast<const char*>(&value), sizeof(T));
    }
    static void put_text(std::string& to, std::string_view text) {
        put(to, std::uint64_t{text.size()});
        to += text;
    }
    void begin(std::string_view key, GgufType type) {
        put_text(values_, key);
        put(values_, static_cast<std::uint32_t>(type));
        ++value_count_;
    }

    std::string values_;
    std::string tensors_;
    std::uint64_t value_count_ = 0;
    std::uint64_t tensor_count_ = 0;
    std::uint64_t data_ = 0;
};

}  // namespace hearth::models
