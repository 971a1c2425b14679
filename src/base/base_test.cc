#include <gtest/gtest.h>

#include <algorithm>

#include "base/encoding.h"
#include "base/error.h"
#include "base/hash.h"

namespace hearth {
namespace {

std::span<const std::byte> bytes(std::string_view text) { return std::as_bytes(std::span(text)); }

TEST(Encoding, TrimsBlanksAtTheEndsOnly) {
    EXPECT_EQ(trimmed(" \t a b\r\n"), "a b");
    EXPECT_EQ(trimmed("a"), "a");
    EXPECT_EQ(trimmed(" \n "), "");
    EXPECT_EQ(trimmed(""), "");
}

TEST(Base64, MatchesTheVectorsOfRfc4648) {
    EXPECT_EQ(encode_base64(bytes("")), "");
    EXPECT_EQ(encode_base64(bytes("f")), "Zg==");
    EXPECT_EQ(encode_base64(bytes("fo")), "Zm8=");
    EXPECT_EQ(encode_base64(bytes("foo")), "Zm9v");
    EXPECT_EQ(encode_base64(bytes("foobar")), "Zm9vYmFy");
}

TEST(Base64, DecodesWhatItEncodesAndRefusesTheRest) {
    for (const std::string_view text : {"", "f", "fo", "foo", "foobar"}) {
        const auto decoded = decode_base64(encode_base64(bytes(text)));
        ASSERT_TRUE(decoded);
        EXPECT_TRUE(std::ranges::equal(*decoded, bytes(text)));
    }
    EXPECT_FALSE(decode_base64("Zg="));
    EXPECT_FALSE(decode_base64("Z*=="));
    EXPECT_FALSE(decode_base64("===="));
}

TEST(Sha256, MatchesTheVectorOfFips180) {
    EXPECT_EQ(sha256_hex("abc"),
              "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST(Utf8, AcceptsWellFormedAndRefusesTheRest) {
    EXPECT_TRUE(is_utf8("plain ascii, caf\xC3\xA9, \xF0\x9F\x98\x80"));
    EXPECT_FALSE(is_utf8("\xC0\xAF"));          // overlong
    EXPECT_FALSE(is_utf8("\xED\xA0\x80"));      // surrogate
    EXPECT_FALSE(is_utf8("\xF4\x90\x80\x80"));  // above U+10FFFF
    EXPECT_FALSE(is_utf8("12345678\xE2\x82"));  // cut short
}

TEST(Utf8, RepairsOneReplacementPerMaximalSubpart) {
    EXPECT_EQ(repair_utf8("a\xE2\x82"
                          "b"),
              "a\xEF\xBF\xBD"
              "b");
    EXPECT_EQ(repair_utf8("\xF0\x80"), "\xEF\xBF\xBD\xEF\xBF\xBD");
    EXPECT_EQ(repair_utf8("caf\xC3\xA9"), "caf\xC3\xA9");
}

Result<int> half(int value) {
    if (value % 2 != 0) return fail(Code::InvalidArgument, "odd");
    return value / 2;
}

Result<int> quarter(int value) {
    TRY(const int once, half(value));
    TRY(const int twice, half(once));
    return twice;
}

TEST(Result, TryReturnsTheFirstError) {
    EXPECT_EQ(*quarter(8), 2);
    ASSERT_FALSE(quarter(6));
    EXPECT_EQ(quarter(6).error().code, Code::InvalidArgument);
}

TEST(Error, WithinPutsTheContextFirst) {
    EXPECT_EQ((Error{.message = "b"}.within("a").message), "a: b");
    const Error both{.message = "10.0.0.1: b", .discreet = "b"};
    EXPECT_EQ(Error(both).within("a").message, "a: 10.0.0.1: b");
    EXPECT_EQ(Error(both).within("a").told().message, "a: b");
    EXPECT_EQ((Error{.message = "b"}.told().message), "b");
}

}  // namespace
}  // namespace hearth
