#include "tokens/unicode.h"

#include <algorithm>

#include "unicode_tables.inc"

namespace hearth::tokens {
namespace {

constexpr char32_t kReplacement = 0xFFFD;

unsigned char byte_at(std::string_view text, std::size_t i) {
    return static_cast<unsigned char>(text[i]);
}

}  // namespace

DecodedChar decode_char(std::string_view text) {
    const unsigned char lead = byte_at(text, 0);
    if (lead < 0x80) return {lead, 1};
    if (lead < 0xC2 || lead > 0xF4) return {kReplacement, 1};
    const std::uint32_t size = lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
    unsigned low = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
    unsigned high = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
    char32_t code = lead & (0xFFU >> (size + 1));
    for (std::uint32_t i = 1; i < size; ++i) {
        if (i >= text.size() || byte_at(text, i) < low || byte_at(text, i) > high) {
            return {kReplacement, i};
        }
        code = code << 6 | (byte_at(text, i) & 0x3FU);
        low = 0x80;
        high = 0xBF;
    }
    return {code, size};
}

DecodedChar decode_char_before(std::string_view text) {
    const std::size_t reach = std::min<std::size_t>(text.size(), 4);
    for (std::size_t back = 1; back <= reach; ++back) {
        const std::size_t at = text.size() - back;
        if ((byte_at(text, at) & 0xC0) == 0x80) continue;
        const DecodedChar c = decode_char(text.substr(at));
        if (c.size == back) return c;
        break;
    }
    return {kReplacement, 1};
}

std::size_t encode_char(char32_t c, char* out) {
    const auto put = [out](std::size_t i, char32_t byte) { out[i] = static_cast<char>(byte); };
    if (c < 0x80) {
        put(0, c);
        return 1;
    }
    if (c < 0x800) {
        put(0, 0xC0 | c >> 6);
        put(1, 0x80 | (c & 0x3F));
        return 2;
    }
    if (c < 0x10000) {
        put(0, 0xE0 | c >> 12);
        put(1, 0x80 | (c >> 6 & 0x3F));
        put(2, 0x80 | (c & 0x3F));
        return 3;
    }
    put(0, 0xF0 | c >> 18);
    put(1, 0x80 | (c >> 12 & 0x3F));
    put(2, 0x80 | (c >> 6 & 0x3F));
    put(3, 0x80 | (c & 0x3F));
    return 4;
}

}  // namespace hearth::tokens
