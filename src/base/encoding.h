#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace hearth {

// What separates words in JSON, in prompts and in the header fields of HTTP.
inline constexpr std::string_view kBlanks = " \t\r\n";
// `text` without it at either end.
std::string_view trimmed(std::string_view text);

// RFC 4648 section 4, with padding. Cost: O(n), one allocation.
std::string encode_base64(std::span<const std::byte> bytes);
// Appends to `out` instead of allocating a new string.
void append_base64(std::string& out, std::span<const std::byte> bytes);

// The bytes of `text` (RFC 4648 section 4, padding required). Error: InvalidArgument.
Result<std::vector<std::byte>> decode_base64(std::string_view text);

// Lower-case hexadecimal.
std::string encode_hex(std::span<const std::byte> bytes);

// True when `text` is well-formed UTF-8 (RFC 3629: no surrogates, no overlong forms).
bool is_utf8(std::string_view text);

// `text` with every ill-formed sequence replaced by U+FFFD, one per maximal subpart (Unicode 3.9).
std::string repair_utf8(std::string_view text);

}  // namespace hearth
