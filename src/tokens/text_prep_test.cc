#include "tokens/text_prep.h"

#include <gtest/gtest.h>

#include "tokens/byte_tokenizer.h"

namespace hearth::tokens {
namespace {

using Ids = std::vector<std::int32_t>;
using inference::EmbedRequest;
using inference::Overflow;
using inference::TokenIds;

class TextPrepTest : public ::testing::Test {
  protected:
    TextPrepTest() {
        config_.hidden = 8;
        config_.tokens_max = 6;
        config_.prompts = {{"query", "q:"}, {"document", ""}};
    }
    Ids prepare(const inference::EmbedInput& input, const EmbedRequest& request) {
        const auto rules = prep_.check(request);
        EXPECT_TRUE(rules);
        const auto ids = prep_.prepare(input, 0, *rules);
        EXPECT_TRUE(ids) << ids.error().message;
        return ids ? *ids : Ids{};
    }

    models::EncoderConfig config_;
    ByteTokenizer tokenizer_;
    TextPrep prep_{tokenizer_, config_};
};

TEST_F(TextPrepTest, AddsSpecialTokensToTextsAndIds) {
    EXPECT_EQ(prepare("ab", {}), (Ids{256, 'a', 'b', 257}));
    EXPECT_EQ(prepare(TokenIds{7, 8}, {}), (Ids{256, 7, 8, 257}));
    EXPECT_EQ(prepare("", {}), (Ids{256, 257}));
}

TEST_F(TextPrepTest, AllowsATextThatFillsTheWindowAndRefusesOneTokenMore) {
    EXPECT_EQ(prepare("abcd", {}).size(), 6U);
    const auto over = prep_.prepare("abcde", 3, *prep_.check({}));
    ASSERT_FALSE(over);
    EXPECT_EQ(over.error().code, Code::InvalidArgument);
    EXPECT_EQ(over.error().reason, "context_length_exceeded");
    EXPECT_EQ(over.error().param, "input[3]");
    EXPECT_NE(over.error().message.find("7 tokens"), std::string::npos);
    EXPECT_NE(over.error().message.find("at most 6"), std::string::npos);
}

TEST_F(TextPrepTest, CutsEitherSideAndKeepsTheSpecialTokens) {
    EmbedRequest request{.overflow = Overflow::CutRight};
    EXPECT_EQ(prepare("abcdefg", request), (Ids{256, 'a', 'b', 'c', 'd', 257}));
    request.overflow = Overflow::CutLeft;
    EXPECT_EQ(prepare("abcdefg", request), (Ids{256, 'd', 'e', 'f', 'g', 257}));
}

TEST_F(TextPrepTest, PutsThePromptBeforeTextsAndIds) {
    EmbedRequest request{.prompt_name = "query"};
    EXPECT_EQ(prepare("a", request), (Ids{256, 'q', ':', 'a', 257}));
    EXPECT_EQ(prepare(TokenIds{9}, request), (Ids{256, 'q', ':', 9, 257}));
    config_.default_prompt = "query";
    EXPECT_EQ(prepare("a", {}), (Ids{256, 'q', ':', 'a', 257}));
    request.prompt_name = "document";
    EXPECT_EQ(prepare("a", request), (Ids{256, 'a', 257}));
}

TEST_F(TextPrepTest, NamesThePromptsThereAre) {
    const auto rules = prep_.check({.prompt_name = "poem"});
    ASSERT_FALSE(rules);
    EXPECT_EQ(rules.error().param, "prompt_name");
    EXPECT_NE(rules.error().message.find("document, query"), std::string::npos);
}

TEST_F(TextPrepTest, RefusesIdsOutsideTheVocabulary) {
    for (const std::int32_t id : {-1, 258}) {
        const auto ids = prep_.prepare(TokenIds{0, id}, 2, *prep_.check({}));
        ASSERT_FALSE(ids);
        EXPECT_EQ(ids.error().param, "input[2]");
    }
    EXPECT_TRUE(prep_.prepare(TokenIds{0, 257}, 2, *prep_.check({})));
}

TEST_F(TextPrepTest, AllowsOnlyTheDimensionsOfTheModel) {
    EXPECT_EQ(prep_.check({})->dimension, 8U);
    EXPECT_EQ(prep_.check({.dimensions = 3})->dimension, 3U);
    EXPECT_EQ(prep_.check({.dimensions = 9}).error().param, "dimensions");
    EXPECT_EQ(prep_.check({.dimensions = 0}).error().param, "dimensions");
    config_.matryoshka = {2, 4};
    EXPECT_TRUE(prep_.check({.dimensions = 4}));
    EXPECT_TRUE(prep_.check({.dimensions = 8}));
    EXPECT_FALSE(prep_.check({.dimensions = 3}));
    config_.matryoshka.clear();
    config_.hidden = 0;
    EXPECT_EQ(prep_.check({})->dimension, 0U);
    EXPECT_EQ(prep_.check({.dimensions = 9})->dimension, 9U);
}

}  // namespace
}  // namespace hearth::tokens
