#include "cache/entry.h"

#include <gtest/gtest.h>

#include <random>

namespace hearth::cache {
namespace {

using std::chrono::milliseconds;

Entry entry_with(std::string payload) {
    return {.space = "chat",
            .model = "coder:7b",
            .tenant = "team",
            .payload = std::move(payload),
            .created = Moment(milliseconds(1'000)),
            .expires = Moment(milliseconds(61'000)),
            .took = std::chrono::microseconds(1234),
            .clears = 7};
}

std::string noise(std::size_t size) {
    std::mt19937 random(1);
    std::string out(size, '\0');
    for (char& letter : out) letter = static_cast<char>(random());
    return out;
}

void expect_same(const Entry& got, const Entry& want) {
    EXPECT_EQ(got.space, want.space);
    EXPECT_EQ(got.model, want.model);
    EXPECT_EQ(got.tenant, want.tenant);
    EXPECT_EQ(got.payload, want.payload);
    EXPECT_EQ(got.created, want.created);
    EXPECT_EQ(got.expires, want.expires);
    EXPECT_EQ(got.took, want.took);
    EXPECT_EQ(got.clears, want.clears);
}

// Whatever its size, and whether or not compressing it pays: what was written is what is read.
TEST(EntryTest, ComesBackAsItWas) {
    for (const std::size_t size :
         {0UZ, 1UZ, kCompressedMin - 1, kCompressedMin, kCompressedMin + 1, 100'000UZ}) {
        for (const std::string& payload : {std::string(size, 'a'), noise(size)}) {
            const Entry entry = entry_with(payload);
            const auto decoded = decode(encode(entry));
            ASSERT_TRUE(decoded) << size << ": " << decoded.error().message;
            expect_same(*decoded, entry);
        }
    }
}

TEST(EntryTest, LongTextsAreCompressed) {
    EXPECT_LT(encode(entry_with(std::string(100'000, 'a'))).size(), 1'000U);
    EXPECT_LT(encode(entry_with(noise(100'000))).size(), 100'200U);
}

TEST(EntryTest, EmptyNamesAreNames) {
    Entry entry = entry_with("x");
    entry.space = entry.model = entry.tenant = "";
    const auto decoded = decode(encode(entry));
    ASSERT_TRUE(decoded);
    expect_same(*decoded, entry);
}

TEST(EntryTest, IsRefusedWhereverItIsCut) {
    const std::string bytes = encode(entry_with(std::string(3'000, 'a')));
    for (std::size_t size = 0; size < bytes.size(); ++size) {
        EXPECT_FALSE(decode(bytes.substr(0, size))) << size;
    }
    EXPECT_FALSE(decode(bytes + "x"));
}

TEST(EntryTest, IsRefusedWhereverABitIsWrong) {
    const std::string bytes = encode(entry_with("an answer"));
    for (std::size_t bit = 0; bit < 8 * bytes.size(); ++bit) {
        std::string wrong = bytes;
        wrong[bit / 8] = static_cast<char>(wrong[bit / 8] ^ (1 << (bit % 8)));
        EXPECT_FALSE(decode(wrong)) << bit;
    }
}

}  // namespace
}  // namespace hearth::cache
