#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "tokens/tokenizer.h"

namespace hearth::tokens {

// For tests: one token per byte, its value. 256 begins, 257 ends.
class ByteTokenizer : public Tokenizer {
  public:
    void encode(std::string_view text, std::vector<std::int32_t>& ids) const override {
        ids.assign(1, cls_id());
        for (const char byte : text) ids.push_back(static_cast<unsigned char>(byte));
        ids.push_back(sep_id());
    }
    Encoding encode_with_offsets(std::string_view) const override { return {}; }
    std::size_t vocabulary() const override { return 258; }
    std::int32_t cls_id() const override { return 256; }
    std::int32_t sep_id() const override { return 257; }
};

}  // namespace hearth::tokens
