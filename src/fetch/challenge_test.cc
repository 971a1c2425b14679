#include "fetch/challenge.h"

#include <gtest/gtest.h>

namespace hearth::fetch {
namespace {

TEST(Challenge, IsRead) {
    const auto challenge = parse_challenge(
        R"(Bearer realm="https://auth.example/token",service="registry",scope="repository:a/b:pull,push")");
    ASSERT_TRUE(challenge);
    EXPECT_EQ(challenge->realm, "https://auth.example/token");
    EXPECT_EQ(challenge->scope, "repository:a/b:pull,push");
    EXPECT_EQ(challenge->token_url(),
              "https://auth.example/token?service=registry&scope=repository%3Aa%2Fb%3Apull%2Cpush");
}

TEST(Challenge, MayBeWrittenInOtherWays) {
    EXPECT_EQ(parse_challenge("bearer REALM=https://a/t").value().realm, "https://a/t");
    EXPECT_EQ(parse_challenge(R"(Bearer  realm = "x")"), std::nullopt);
    EXPECT_EQ(parse_challenge(R"(Bearer realm="a\"b" , service=s)").value().realm, "a\"b");
    EXPECT_EQ(parse_challenge(R"(Bearer realm="https://a/t?x=1",service=s)").value().token_url(),
              "https://a/t?x=1&service=s");
}

TEST(Challenge, OfAnotherKindIsNone) {
    for (const char* value : {"", "Basic realm=\"x\"", "Bearer", "Bearer ", "Bearer scope=\"a\"",
                              "Bearer realm=\"\"", "Bearer ,,,,"}) {
        EXPECT_FALSE(parse_challenge(value)) << value;
    }
    EXPECT_FALSE(parse_challenge("Bearer realm=\"" + std::string(5000, 'a') + "\""));
}

TEST(Token, IsFoundUnderBothNames) {
    EXPECT_EQ(parse_token(R"({"token":"abc"})").value(), "abc");
    EXPECT_EQ(parse_token(R"({"access_token":"abc","token":""})").value(), "abc");
}

TEST(Token, ThatCouldNotStandInAHeaderIsRefused) {
    EXPECT_FALSE(parse_token(R"({"token":"a\r\nX: y"})"));
    EXPECT_FALSE(parse_token(R"({"token":7})"));
    EXPECT_FALSE(parse_token("no"));
    EXPECT_TRUE(is_token(std::string(16'384, 'a')));
    EXPECT_FALSE(is_token(std::string(16'385, 'a')));
}

}  // namespace
}  // namespace hearth::fetch
