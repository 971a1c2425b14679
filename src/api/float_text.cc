#include "api/float_text.h"

#include <array>
#include <bit>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace hearth::api {
namespace {

// Powers of ten that a double holds exactly.
constexpr std::array<double, 14> kPowers = {1e0, 1e1, 1e2, 1e3,  1e4,  1e5,  1e6,
                                            1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13};

constexpr std::array<char, 200> kPairs = [] {
    std::array<char, 200> pairs{};
    for (std::size_t i = 0; i < 100; ++i) {
        pairs[2 * i] = static_cast<char>('0' + i / 10);
        pairs[2 * i + 1] = static_cast<char>('0' + i % 10);
    }
    return pairs;
}();

// Six significant digits survive a float, so a float with a form of at most six is found by
// rounding to six and dropping zeros; nine always suffice. Hence six to nine are tried.

// True when the decimal nearest to `back` surely reads as `value`. A double this close to the
// middle between two floats (the 29 bits a float lacks) may have been rounded onto the wrong side:
// then the answer is no.
bool reads_back(double back, float value) {
    constexpr std::uint64_t kLost = (std::uint64_t{1} << 29) - 1;
    constexpr std::uint64_t kMiddle = std::uint64_t{1} << 28;
    const std::uint64_t lost = std::bit_cast<std::uint64_t>(back) & kLost;
    return static_cast<float>(back) == value && lost - (kMiddle - 2) > 4;
}

// Nine digits of `number`, leading zeros included.
void write_nine_digits(char* at, std::uint32_t number) {
    const std::uint32_t low = number % 10'000;
    const std::uint32_t rest = number / 10'000;
    const std::uint32_t middle = rest % 10'000;
    at[0] = static_cast<char>('0' + rest / 10'000);
    std::memcpy(at + 1, &kPairs[2 * (middle / 100)], 2);
    std::memcpy(at + 3, &kPairs[2 * (middle % 100)], 2);
    std::memcpy(at + 5, &kPairs[2 * (low / 100)], 2);
    std::memcpy(at + 7, &kPairs[2 * (low % 100)], 2);
}

// Zeros between the point and the first digit: 0 for 0.1 and above, at most 3.
int leading_zeros(double value) {
    return (value < 1e-1 ? 1 : 0) + (value < 1e-2 ? 1 : 0) + (value < 1e-3 ? 1 : 0);
}

// `value` to so many places behind the point, as a whole number of the last place.
std::uint32_t rounded(double value, int places) {
    return static_cast<std::uint32_t>(value * kPowers[places] + 0.5);
}

// "0." and the digits; `value` is from 1e-4 to below 1. Nearly every float needs eight digits or
// nine, in no order a processor could guess: both are computed and one is taken without a branch.
// When eight do not read back fewer cannot.
char* write_fraction(char* at, float value) {
    const double exact = value;
    const int zeros = leading_zeros(exact);
    const std::uint32_t nine = rounded(exact, zeros + 9);
    const std::uint32_t eight = rounded(exact, zeros + 8);
    const std::uint32_t seven = rounded(exact, zeros + 7);
    const bool eight_do = reads_back(eight / kPowers[zeros + 8], value);
    const bool seven_do = reads_back(seven / kPowers[zeros + 7], value);
    std::memcpy(at, "0.000", 5);
    at += 2 + zeros;
    if (!(eight_do & seven_do)) [[likely]] {
        write_nine_digits(at, eight_do ? eight * 10 : nine);
        return at + (eight_do ? 8 : 9);
    }
    const std::uint32_t six = rounded(exact, zeros + 6);
    const bool six_do = reads_back(six / kPowers[zeros + 6], value);
    const std::uint32_t digits = six_do ? six * 1000 : seven * 100;
    if (digits == 1'000'000'000) {  // rounded up to a power of ten: one place to the left
        at[-1] = '1';
        return at;
    }
    write_nine_digits(at, digits);
    at += 9;
    while (at[-1] == '0') --at;
    return at;
}

}  // namespace

char* write_float(char* at, float value) {
    const float size = std::fabs(value);
    if (size >= 1e-4F && size < 0.99999F) {
        *at = '-';
        return write_fraction(at + (value < 0 ? 1 : 0), size);
    }
    if (!std::isfinite(value)) return at + std::string_view("null").copy(at, 4);
    return std::to_chars(at, at + kFloatBytesMax, value).ptr;
}

}  // namespace hearth::api
