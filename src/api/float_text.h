#pragma once

#include <cstddef>

namespace hearth::api {

// The longest float, "-1.17549435e-38", and a byte for the comma a caller may put behind it.
inline constexpr std::size_t kFloatBytesMax = 16;

// Writes the shortest decimal number that reads back as the same float, and among those the nearest
// to it; "null" when it is not finite. `at` has room for kFloatBytesMax. Returns the end. Values
// from 1e-4 to below 1, which nearly all of a vector is, are written as fractions at about half the
// cost of std::to_chars, which writes the rest.
char* write_float(char* at, float value);

}  // namespace hearth::api
