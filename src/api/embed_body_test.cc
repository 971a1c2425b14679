#include "api/embed_body.h"

#include <gtest/gtest.h>

#include "base/format.h"

namespace hearth::api {
namespace {

constexpr std::string_view kMembers[] = {"model", "flag", "count", "other"};
constexpr BodyRules kRules{.input = "input", .members = kMembers, .token_ids = true};

std::string refusal(const std::string& body) {
    const auto read = read_body(body, kRules);
    return read ? "accepted" : read.error().message;
}

std::string repeated(std::string_view item, std::size_t count) {
    std::string list;
    for (std::size_t i = 0; i < count; ++i) list += format("{}{}", i == 0 ? "" : ",", item);
    return list;
}

const std::string& first_text(const Body& body) { return std::get<std::string>(body.inputs[0]); }

TEST(EmbedBody, TakesAsManyItemsAsAllowedAndRefusesOneMore) {
    EXPECT_EQ(refusal(format(R"({{"input":[{}]}})", repeated("\"x\"", 2048))), "accepted");
    const auto over = read_body(format(R"({{"input":[{}]}})", repeated("\"x\"", 2049)), kRules);
    ASSERT_FALSE(over);
    EXPECT_EQ(over.error().message,
              "input has more than 2048 items; send them in several requests");
    EXPECT_EQ(over.error().param, "input");
    EXPECT_EQ(over.error().code, Code::InvalidArgument);
    EXPECT_EQ(refusal(format(R"({{"input":[{}]}})", repeated("[1]", 2049))),
              "input has more than 2048 items; send them in several requests");
}

TEST(EmbedBody, TakesAsManyTokenIdsAsAllowedAndRefusesOneMore) {
    EXPECT_EQ(refusal(format(R"({{"input":[{}]}})", repeated("7", 300'000))), "accepted");
    EXPECT_EQ(refusal(format(R"({{"input":[{}]}})", repeated("7", 300'001))),
              "input has more than 300000 token ids in all; send them in several requests");
    EXPECT_EQ(refusal(format(R"({{"input":[[{}],[7]]}})", repeated("7", 300'000))),
              "input has more than 300000 token ids in all; send them in several requests");
}

TEST(EmbedBody, TakesThirtyTwoLevelsAndRefusesOneMore) {
    const auto nested = [](std::size_t levels) {
        return R"({"input":"x","deep":)" + std::string(levels, '[') + std::string(levels, ']') +
               "}";
    };
    EXPECT_EQ(refusal(nested(31)), "accepted");
    EXPECT_TRUE(refusal(nested(32)).contains("too deep"));
    EXPECT_TRUE(refusal(nested(1'000'000)).contains("too deep"));
}

TEST(EmbedBody, RefusesInvalidUtf8WithAClearSentence) {
    for (const auto* bytes : {"\xFF", "\xC3", "\xC0\xAF", "\xED\xA0\x80", "\xF5\x80\x80\x80"}) {
        EXPECT_EQ(refusal(format("{{\"input\":\"a{}b\"}}", bytes)), "the body is not valid UTF-8");
    }
    EXPECT_EQ(refusal("\xEF\xBB\xBF{\"input\":\"x\"}"),
              "the body is not valid JSON: syntax error at byte 0");
}

TEST(EmbedBody, ReadsHalfASurrogatePairAsTheReplacementCharacter) {
    const auto read_text = [](std::string_view escapes) {
        const auto body = read_body(format(R"({{"input":"{}"}})", escapes), kRules);
        return body ? first_text(*body) : body.error().message;
    };
    EXPECT_EQ(read_text(R"(\ud83d\ude00)"), "\xF0\x9F\x98\x80");
    EXPECT_EQ(read_text(R"(a\ud83db)"), "a\uFFFDb");
    EXPECT_EQ(read_text(R"(a\uDE00)"), "a\uFFFD");
    EXPECT_EQ(read_text(R"(\ud83d\ud83d\ude00)"), "\uFFFD\U0001F600");
    EXPECT_EQ(read_text(R"(\ud83d\n)"), "\uFFFD\n");
    EXPECT_EQ(read_text(R"(\\ud83d \ud83d)"), "\\ud83d \uFFFD");
    EXPECT_EQ(read_text(R"(\ud83d\u0041)"), "\uFFFDA");
    EXPECT_TRUE(read_text(R"(\ud83d\uZZZZ)").contains("not valid JSON"));
}

TEST(EmbedBody, KeepsEveryByteOfALongTextWithEscapes) {
    std::string expected;
    std::string escaped;
    for (int i = 0; i < 10'000; ++i) {
        expected += format("line {}\n\t\"x\\y\" ü\n", i);
        escaped += format(R"(line {}\n\t\"x\\y\" ü\n)", i);
    }
    const auto body = read_body(format(R"({{"input":["{0}","{0}"]}})", escaped), kRules);
    ASSERT_TRUE(body);
    EXPECT_EQ(std::get<std::string>(body->inputs[0]), expected);
    EXPECT_EQ(std::get<std::string>(body->inputs[1]), expected);
}

TEST(EmbedBody, LetsTheLastOfEqualKeysCount) {
    const auto body = read_body(R"({"input":["a",["b"]],"input":"x"})",
                                BodyRules{.input = "input", .token_ids = true});
    ASSERT_FALSE(body);  // an error in the first one is still an error
    const auto again =
        read_body(R"({"input":["a"],"model":"a","input":[1,2],"model":"b"})", kRules);
    ASSERT_TRUE(again);
    EXPECT_EQ(again->inputs.size(), 1U);
    EXPECT_EQ(std::get<inference::TokenIds>(again->inputs[0]), (inference::TokenIds{1, 2}));
    EXPECT_EQ(*again->text("model"), "b");
}

TEST(EmbedBody, DoesNotTakeNestedMembersForItsOwn) {
    const auto body = read_body(
        R"({"x":{"input":"no","model":"no"},"other":[{"model":"no"}],"input":"yes"})", kRules);
    ASSERT_TRUE(body);
    EXPECT_EQ(first_text(*body), "yes");
    EXPECT_EQ(*body->text("model"), "");
    EXPECT_EQ(body->text("other").error().message, "other must be a string, not a list");
}

TEST(EmbedBody, ChecksTheTypesOfMembers) {
    const auto body =
        read_body(R"({"model":1.5,"flag":"yes","count":2147483648,"other":{"a":1}})", kRules);
    ASSERT_TRUE(body);
    EXPECT_EQ(body->text("model").error().message, "model must be a string, not 1.5");
    EXPECT_EQ(body->flag("flag", true).error().message, "flag must be true or false, not \"yes\"");
    EXPECT_EQ(body->count("count", 1).error().message,
              "count must be a whole number from 1, not 2147483648");
    EXPECT_EQ(body->text("other").error().message, "other must be a string, not an object");
    EXPECT_EQ(body->text("other").error().param, "other");
    EXPECT_EQ(*body->flag("absent", true), true);
    EXPECT_EQ(*body->count("absent", 1), std::nullopt);
}

}  // namespace
}  // namespace hearth::api
