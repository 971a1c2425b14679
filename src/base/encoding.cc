#include "base/encoding.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>

namespace hearth {
namespace {

constexpr char kAlphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr std::array<int, 256> kValues = [] {
    std::array<int, 256> values{};
    values.fill(-1);
    for (int i = 0; i < 64; ++i) values[static_cast<unsigned char>(kAlphabet[i])] = i;
    return values;
}();
constexpr std::string_view kReplacement = "\xEF\xBF\xBD";

// Length of the well-formed sequence at `p`, or 0 with `*bad` = length of the ill-formed subpart.
std::size_t sequence_length(const unsigned char* p, std::size_t left, std::size_t* bad) {
    *bad = 1;
    const unsigned char lead = p[0];
    if (lead < 0x80) return 1;
    if (lead < 0xC2 || lead > 0xF4) return 0;
    const std::size_t length = lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
    unsigned char low = 0x80;
    unsigned char high = 0xBF;
    if (lead == 0xE0) low = 0xA0;
    if (lead == 0xED) high = 0x9F;
    if (lead == 0xF0) low = 0x90;
    if (lead == 0xF4) high = 0x8F;
    for (std::size_t i = 1; i < length; ++i) {
        if (i >= left || p[i] < low || p[i] > high) {
            *bad = i;
            return 0;
        }
        low = 0x80;
        high = 0xBF;
    }
    return length;
}

// Bytes at the front that are plain ASCII, eight at a time.
std::size_t ascii_prefix(const unsigned char* p, std::size_t size) {
    std::size_t i = 0;
    for (; i + 8 <= size; i += 8) {
        std::uint64_t word;
        std::memcpy(&word, p + i, 8);
        if (word & 0x8080808080808080U) break;
    }
    return i;
}

}  // namespace

void append_base64(std::string& out, std::span<const std::byte> bytes) {
    const std::size_t start = out.size();
    out.resize(start + (bytes.size() + 2) / 3 * 4);
    char* to = out.data() + start;
    const auto* from = reinterpret_cast<const unsigned char*>(bytes.data());
    std::size_t left = bytes.size();
    for (; left >= 3; left -= 3, from += 3) {
        const unsigned v = unsigned(from[0]) << 16 | unsigned(from[1]) << 8 | from[2];
        *to++ = kAlphabet[v >> 18];
        *to++ = kAlphabet[v >> 12 & 63];
        *to++ = kAlphabet[v >> 6 & 63];
        *to++ = kAlphabet[v & 63];
    }
    if (left == 0) return;
    const unsigned v = unsigned(from[0]) << 16 | (left == 2 ? unsigned(from[1]) << 8 : 0U);
    *to++ = kAlphabet[v >> 18];
    *to++ = kAlphabet[v >> 12 & 63];
    *to++ = left == 2 ? kAlphabet[v >> 6 & 63] : '=';
    *to++ = '=';
}

std::string encode_base64(std::span<const std::byte> bytes) {
    std::string out;
    append_base64(out, bytes);
    return out;
}

Result<std::vector<std::byte>> decode_base64(std::string_view text) {
    if (text.size() % 4 != 0) return fail(Code::InvalidArgument, "base64 text is cut short");
    std::size_t padding = 0;
    while (padding < 2 && padding < text.size() && text[text.size() - 1 - padding] == '=')
        ++padding;
    std::vector<std::byte> out;
    out.reserve(text.size() / 4 * 3);
    std::uint32_t group = 0;
    for (std::size_t i = 0; i < text.size(); ++i) {
        const bool pad = i >= text.size() - padding;
        const int value = pad ? 0 : kValues[static_cast<unsigned char>(text[i])];
        if (value < 0) return fail(Code::InvalidArgument, "not base64 text");
        group = group << 6 | static_cast<std::uint32_t>(value);
        if (i % 4 != 3) continue;
        for (const int shift : {16, 8, 0}) out.push_back(static_cast<std::byte>(group >> shift));
    }
    out.resize(out.size() - padding);
    return out;
}

std::string encode_hex(std::span<const std::byte> bytes) {
    constexpr char kDigits[] = "0123456789abcdef";
    std::string out;
    out.reserve(bytes.size() * 2);
    for (const std::byte b : bytes) {
        out += kDigits[std::to_integer<unsigned>(b) >> 4];
        out += kDigits[std::to_integer<unsigned>(b) & 15];
    }
    return out;
}

bool is_utf8(std::string_view text) {
    const auto* p = reinterpret_cast<const unsigned char*>(text.data());
    std::size_t left = text.size();
    while (left > 0) {
        const std::size_t ascii = ascii_prefix(p, left);
        p += ascii;
        left -= ascii;
        if (left == 0) return true;
        std::size_t bad;
        const std::size_t length = sequence_length(p, left, &bad);
        if (length == 0) return false;
        p += length;
        left -= length;
    }
    return true;
}

std::string repair_utf8(std::string_view text) {
    std::string out;
    out.reserve(text.size());
    const auto* p = reinterpret_cast<const unsigned char*>(text.data());
    std::size_t left = text.size();
    while (left > 0) {
        std::size_t bad;
        const std::size_t length = sequence_length(p, left, &bad);
        if (length > 0) {
            out.append(reinterpret_cast<const char*>(p), length);
        } else {
            out += kReplacement;
        }
        const std::size_t step = length > 0 ? length : bad;
        p += step;
        left -= step;
    }
    return out;
}

std::string_view trimmed(std::string_view text) {
    text.remove_prefix(std::min(text.find_first_not_of(kBlanks), text.size()));
    return text.substr(0, text.find_last_not_of(kBlanks) + 1);
}

}  // namespace hearth
