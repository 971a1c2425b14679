#include "api/float_text.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <charconv>
#include <cmath>
#include <random>
#include <string>

namespace hearth::api {
namespace {

std::string shown(float value) {
    char buffer[kFloatBytesMax];
    return {buffer, write_float(buffer, value)};
}

float read_back(const std::string& text) {
    float value = 0;
    std::from_chars(text.data(), text.data() + text.size(), value);
    return value;
}

// Significant digits of a number as text.
std::size_t digits(const std::string& text) {
    const std::string mantissa = text.substr(0, text.find('e'));
    std::string all;
    for (const char c : mantissa) {
        if (c != '-' && c != '.' && (c != '0' || !all.empty())) all += c;
    }
    while (!all.empty() && all.back() == '0') all.pop_back();
    return all.size();
}

std::string reference(float value) {
    char buffer[32];
    return {buffer, std::to_chars(buffer, buffer + sizeof(buffer), value).ptr};
}

void expect_shortest(float value) {
    const std::string text = shown(value);
    EXPECT_LT(text.size(), kFloatBytesMax);
    EXPECT_EQ(std::bit_cast<std::uint32_t>(read_back(text)), std::bit_cast<std::uint32_t>(value))
        << text;
    EXPECT_EQ(digits(text), digits(reference(value))) << text << " " << reference(value);
}

TEST(FloatText, WritesKnownValues) {
    EXPECT_EQ(shown(0.1F), "0.1");
    EXPECT_EQ(shown(0.3F), "0.3");
    EXPECT_EQ(shown(-0.25F), "-0.25");
    EXPECT_EQ(shown(0.0001F), "0.0001");
    EXPECT_EQ(shown(0.099999994F), "0.099999994");
    EXPECT_EQ(shown(0.012345679F), "0.012345679");
    EXPECT_EQ(shown(0.99998999F), "0.99999");
    EXPECT_EQ(shown(1), "1");
    EXPECT_EQ(shown(0), "0");
    EXPECT_EQ(shown(-0.0F), "-0");
    EXPECT_EQ(shown(NAN), "null");
    EXPECT_EQ(shown(-INFINITY), "null");
}

TEST(FloatText, IsShortestAndExactAtTheEdgesOfItsOwnRange) {
    for (const float edge : {1e-4F, 1e-3F, 1e-2F, 1e-1F, 0.99999F, 1.0F, 0.5F, 0.25F, 0.0625F}) {
        float below = edge;
        float above = edge;
        for (int i = 0; i < 1000; ++i) {
            expect_shortest(below);
            expect_shortest(-above);
            below = std::nextafter(below, 0.0F);
            above = std::nextafter(above, 2.0F);
        }
    }
}

TEST(FloatText, IsShortestAndExactForRandomFloats) {
    constexpr unsigned kSeed = 20'261'121;
    std::mt19937 random(kSeed);
    for (int i = 0; i < 200'000; ++i) {
        const auto any = std::bit_cast<float>(static_cast<std::uint32_t>(random()));
        if (std::isfinite(any)) expect_shortest(any);
        expect_shortest(std::ldexp(1.0F + std::ldexp(static_cast<float>(random() >> 9), -23),
                                   -1 - static_cast<int>(random() % 14)));
    }
}

}  // namespace
}  // namespace hearth::api
