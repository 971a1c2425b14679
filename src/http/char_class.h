#pragma once

#include <array>
#include <cstdint>

// The character sets of RFC 9110 section 5.6 and RFC 9112.
namespace hearth::http {

enum CharClass : std::uint8_t { kToken = 1, kFieldValue = 2, kTarget = 4, kHost = 8 };

namespace detail {

constexpr bool is_alnum(int c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

constexpr bool is_any_of(int c, const char* set) {
    for (; *set != 0; ++set) {
        if (*set == c) return true;
    }
    return false;
}

constexpr std::array<std::uint8_t, 256> make_char_classes() {
    std::array<std::uint8_t, 256> table{};
    for (int c = 0; c < 256; ++c) {
        unsigned bits = 0;
        if (is_alnum(c) || is_any_of(c, "!#$%&'*+-.^_`|~")) bits |= kToken;
        if (c == '\t' || (c >= 0x20 && c != 0x7F)) bits |= kFieldValue;
        if (c > 0x20 && c < 0x7F && c != '#') bits |= kTarget;
        if (is_alnum(c) || is_any_of(c, "-._~:[]%!$&'()*+,;=")) bits |= kHost;
        table[std::size_t(c)] = std::uint8_t(bits);
    }
    return table;
}

inline constexpr std::array<std::uint8_t, 256> kCharClasses = make_char_classes();

}  // namespace detail

constexpr bool is(CharClass wanted, char c) {
    return (detail::kCharClasses[std::uint8_t(c)] & wanted) != 0;
}

template <class Text>
constexpr bool all_are(CharClass wanted, const Text& text) {
    unsigned all = wanted;
    for (const char c : text) all &= detail::kCharClasses[std::uint8_t(c)];
    return all != 0;
}

constexpr int hex_digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

}  // namespace hearth::http
