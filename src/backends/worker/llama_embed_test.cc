#include "backends/worker/llama_embed.h"

#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <cmath>
#include <cstring>

#include "base/encoding.h"

namespace hearth::worker {
namespace {

namespace json = boost::json;
using inference::EmbedRequest;
using inference::Overflow;
using inference::TokenIds;

const SpecialTokens kSpecial = {.before = {101}, .after = {102}};

json::object row(const std::vector<float>& values) {
    std::vector<std::byte> bytes(values.size() * sizeof(float));
    std::memcpy(bytes.data(), values.data(), bytes.size());
    return {{"embedding", encode_base64(bytes)}};
}

std::string answer(std::initializer_list<std::vector<float>> rows) {
    json::array data;
    for (const auto& values : rows) data.push_back(row(values));
    return json::serialize(json::object{{"data", data}});
}

TEST(LlamaEmbed, AsksForTokens) {
    const json::value call = json::parse(encode_tokenize("a \"b\"", true));
    EXPECT_EQ(call.at("content").as_string(), "a \"b\"");
    EXPECT_TRUE(call.at("add_special").as_bool());
    EXPECT_FALSE(call.at("parse_special").as_bool());
}

TEST(LlamaEmbed, ReadsTokens) {
    EXPECT_EQ(*decode_tokenize(R"({"tokens":[1,2147483647,-1]})"), (TokenIds{1, 2147483647, -1}));
    EXPECT_TRUE(decode_tokenize(R"({"tokens":[]})")->empty());
    for (const char* bad : {"", "[]", "{}", R"({"tokens":1})", R"({"tokens":["a"]})",
                            R"({"tokens":[2147483648]})", R"({"tokens":[1.5]})"}) {
        const auto ids = decode_tokenize(bad);
        ASSERT_FALSE(ids) << bad;
        EXPECT_EQ(ids.error().code, Code::BadUpstream);
    }
}

TEST(LlamaEmbed, FindsWhatStandsAroundEveryText) {
    const auto both = find_special({101, 7, 8, 102}, {7, 8});
    ASSERT_TRUE(both);
    EXPECT_EQ(both->before, (TokenIds{101}));
    EXPECT_EQ(both->after, (TokenIds{102}));
    const auto none = find_special({7}, {7});
    ASSERT_TRUE(none);
    EXPECT_EQ(none->count(), 0U);
    EXPECT_FALSE(find_special({101, 9, 102}, {7}));
    EXPECT_FALSE(find_special({}, {7}));
    EXPECT_FALSE(find_special({101}, {}));
}

TEST(LlamaEmbed, FitsTokensIntoTheWindow) {
    const auto fit = [](TokenIds ids, Overflow overflow) {
        return fit_tokens(std::move(ids), kSpecial, 5, overflow, 3);
    };
    EXPECT_EQ(*fit({}, Overflow::Refuse), (TokenIds{101, 102}));
    EXPECT_EQ(*fit({1, 2, 3}, Overflow::Refuse), (TokenIds{101, 1, 2, 3, 102}));
    EXPECT_EQ(*fit({1, 2, 3, 4}, Overflow::CutRight), (TokenIds{101, 1, 2, 3, 102}));
    EXPECT_EQ(*fit({1, 2, 3, 4}, Overflow::CutLeft), (TokenIds{101, 2, 3, 4, 102}));
    const auto over = fit({1, 2, 3, 4}, Overflow::Refuse);
    ASSERT_FALSE(over);
    EXPECT_EQ(over.error().code, Code::InvalidArgument);
    EXPECT_EQ(over.error().reason, "context_length_exceeded");
    EXPECT_EQ(over.error().param, "input[3]");
    EXPECT_NE(over.error().message.find("6 tokens"), std::string::npos) << over.error().message;
}

TEST(LlamaEmbed, FitsNothingIntoAWindowSmallerThanTheSpecialTokens) {
    EXPECT_EQ(*fit_tokens({1, 2}, kSpecial, 1, Overflow::CutLeft, 0), (TokenIds{101, 102}));
    EXPECT_FALSE(fit_tokens({1, 2}, kSpecial, 0, Overflow::Refuse, 0));
}

TEST(LlamaEmbed, SendsTokensAndSaysWhetherToNormalise) {
    const std::vector<TokenIds> texts = {{101, 5, 102}, {101, 102}};
    const json::value call = json::parse(encode_embeddings_call(texts, true));
    EXPECT_EQ(json::serialize(call.at("input")), "[[101,5,102],[101,102]]");
    EXPECT_EQ(call.at("encoding_format").as_string(), "base64");
    EXPECT_EQ(call.at("embd_normalize").as_int64(), 2);
    EXPECT_EQ(json::parse(encode_embeddings_call(texts, false)).at("embd_normalize").as_int64(),
              -1);
}

TEST(LlamaEmbed, ReadsRowsInOrder) {
    const std::vector<TokenIds> texts = {{1, 2}, {3}};
    const auto reply = decode_embeddings(answer({{1, 0}, {0, 1}}), texts, {});
    ASSERT_TRUE(reply);
    EXPECT_EQ(reply->dimension, 2U);
    EXPECT_EQ(reply->vectors, (std::vector<float>{1, 0, 0, 1}));
    EXPECT_EQ(reply->tokens, (std::vector<std::uint32_t>{2, 1}));
}

TEST(LlamaEmbed, CutsRowsToTheDimensionsAskedFor) {
    const std::vector<TokenIds> texts = {{1}};
    const std::string body = answer({{3, 4, 12}});
    const auto cut = decode_embeddings(body, texts, EmbedRequest{.dimensions = 2});
    ASSERT_TRUE(cut);
    EXPECT_EQ(cut->dimension, 2U);
    EXPECT_NEAR(cut->vectors[0], 0.6, 1e-6);
    EXPECT_NEAR(cut->vectors[1], 0.8, 1e-6);
    const auto raw =
        decode_embeddings(body, texts, EmbedRequest{.dimensions = 2, .normalize = false});
    ASSERT_TRUE(raw);
    EXPECT_EQ(raw->vectors, (std::vector<float>{3, 4}));
    EXPECT_TRUE(decode_embeddings(body, texts, EmbedRequest{.dimensions = 3}));
    const auto over = decode_embeddings(body, texts, EmbedRequest{.dimensions = 4});
    ASSERT_FALSE(over);
    EXPECT_EQ(over.error().code, Code::InvalidArgument);
    EXPECT_EQ(over.error().param, "dimensions");
}

TEST(LlamaEmbed, LeavesARowOfZerosAsItIs) {
    const std::vector<TokenIds> texts = {{1}};
    const auto reply = decode_embeddings(answer({{0, 0, 1}}), texts, EmbedRequest{.dimensions = 2});
    ASSERT_TRUE(reply);
    EXPECT_EQ(reply->vectors, (std::vector<float>{0, 0}));
}

TEST(LlamaEmbed, RefusesAnswersOfAnotherForm) {
    const std::vector<TokenIds> texts = {{1}, {2}};
    for (const std::string& bad :
         {std::string(), std::string("[]"), std::string(R"({"data":{}})"),
          std::string(R"({"data":[1,2]})"), std::string(R"({"data":[{},{}]})"),
          std::string(R"({"data":[{"embedding":[1]},{"embedding":[1]}]})"),
          std::string(R"({"data":[{"embedding":"!!"},{"embedding":"!!"}]})"),
          std::string(R"({"data":[{"embedding":""},{"embedding":""}]})"),
          std::string(R"({"data":[{"embedding":"AAA="},{"embedding":"AAA="}]})"), answer({{1, 2}}),
          answer({{1}, {2}, {3}}), answer({{1, 2}, {1, 2, 3}})}) {
        EXPECT_FALSE(decode_embeddings(bad, texts, {})) << bad;
    }
}

}  // namespace
}  // namespace hearth::worker
