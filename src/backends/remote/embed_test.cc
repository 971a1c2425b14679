#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

#include "backends/remote/vectors.h"
#include "backends/remote/wire_test_util.h"
#include "base/encoding.h"

namespace hearth::remote {
namespace {

using inference::EmbedRequest;
using inference::Overflow;
using inference::TokenIds;

std::string base64_of(std::vector<float> row) {
    return encode_base64(std::as_bytes(std::span(row)));
}

TEST(Embed, OpenaiIsAskedForBase64AndTakesIds) {
    const auto call =
        make_openai_wire()->embed({.inputs = {"a", TokenIds{5, 6}}, .dimensions = 64}, "up/stream");
    ASSERT_TRUE(call);
    EXPECT_EQ(call->target, "/v1/embeddings");
    EXPECT_EQ(
        call->body,
        R"({"model":"up/stream","input":["a",[5,6]],"encoding_format":"base64","dimensions":64})");
}

TEST(Embed, OllamaTakesTexts) {
    const auto wire = make_ollama_wire();
    const auto call = wire->embed({.inputs = {"a", "b"},
                                   .dimensions = 64,
                                   .overflow = Overflow::CutRight,
                                   .keep_alive = std::chrono::milliseconds(1500)},
                                  "m");
    ASSERT_TRUE(call);
    EXPECT_EQ(call->target, "/api/embed");
    EXPECT_EQ(
        call->body,
        R"({"model":"m","input":["a","b"],"truncate":true,"dimensions":64,"keep_alive":"1500ms"})");
    EXPECT_TRUE(wire->embed({.inputs = {}}, "m"));  // loads the model
    EXPECT_EQ(wire->embed({.inputs = {TokenIds{1}}}, "m").error().param, "input");
    EXPECT_EQ(wire->embed({.inputs = {"a"}, .overflow = Overflow::CutLeft}, "m").error().code,
              Code::Unsupported);
}

TEST(Embed, WhatNeitherCanBeAskedIsRefused) {
    for (const char* kind : {"openai", "ollama"}) {
        const auto wire = make_wire(kind);
        EXPECT_EQ(wire->embed({.inputs = {"a"}, .normalize = false}, "m").error().param,
                  "normalize");
        EXPECT_EQ(wire->embed({.inputs = {"a"}, .prompt_name = "query"}, "m").error().code,
                  Code::Unsupported);
    }
    EXPECT_EQ(make_openai_wire()->embed({.inputs = {}}, "m").error().code, Code::InvalidArgument);
    EXPECT_EQ(make_triton_wire()->embed({.inputs = {"a"}}, "m").error().code, Code::Unsupported);
}

TEST(Embed, FloatsAndBase64AreTheSame) {
    const EmbedRequest request{.inputs = {"first", "second"}};
    const std::string text = R"({"model":"m","data":[
        {"index":1,"embedding":[0,1]},
        {"index":0,"embedding":")" +
                             base64_of({0.6F, 0.8F}) + R"("}],"usage":{"prompt_tokens":7}})";
    const auto reply = make_openai_wire()->embedded(text, request);
    ASSERT_TRUE(reply);
    EXPECT_EQ(reply->dimension, 2U);
    EXPECT_EQ(reply->vectors, (std::vector<float>{0.6F, 0.8F, 0, 1}));
    EXPECT_EQ(reply->tokens.size(), 2U);
    EXPECT_EQ(reply->tokens[0] + reply->tokens[1], 7U);
    EXPECT_EQ(reply->model, "m");
}

TEST(Embed, ACutIsNormalisedAgain) {
    const EmbedRequest request{.inputs = {"a"}, .dimensions = 2};
    const auto reply =
        make_openai_wire()->embedded(R"({"data":[{"embedding":[0.3,0.4,0.866]}]})", request);
    ASSERT_TRUE(reply);
    EXPECT_EQ(reply->dimension, 2U);
    EXPECT_FLOAT_EQ(reply->vectors[0], 0.6F);
    EXPECT_FLOAT_EQ(reply->vectors[1], 0.8F);
    const auto over = make_openai_wire()->embedded(R"({"data":[{"embedding":[1]}]})", request);
    ASSERT_FALSE(over);
    EXPECT_EQ(over.error().param, "dimensions");
}

TEST(Embed, AnswersOfAnotherFormAreRefused) {
    const EmbedRequest request{.inputs = {"a", "b"}};
    const char* kOpenai[] = {
        "{}",
        "[]",
        "no",
        R"({"data":[]})",
        R"({"data":[{"embedding":[1]}]})",
        R"({"data":[{"embedding":[1]},{"embedding":[1,2]}]})",
        R"({"data":[{"index":0,"embedding":[1]},{"index":0,"embedding":[1]}]})",
        R"({"data":[{"index":0,"embedding":[1]},{"index":9,"embedding":[1]}]})",
        R"({"data":[{"embedding":"AAA"},{"embedding":[1]}]})",
        R"({"data":[{"embedding":["x"]},{"embedding":[1]}]})",
        R"({"data":[{"embedding":[]},{"embedding":[]}]})",
        R"({"data":[{"embedding":[1e39]},{"embedding":[1]}]})",
        R"({"data":[{},{}]})",
        R"({"data":[1,2]})"};
    for (const char* body : kOpenai) {
        const auto reply = make_openai_wire()->embedded(body, request);
        ASSERT_FALSE(reply) << body;
        EXPECT_EQ(reply.error().code, Code::BadUpstream) << body;
    }
    for (const char* body : {"{}", R"({"embeddings":[[1]]})", R"({"embeddings":[[1],["x"]]})",
                             R"({"embeddings":[[1],2]})"}) {
        const auto reply = make_ollama_wire()->embedded(body, request);
        ASSERT_FALSE(reply) << body;
        EXPECT_EQ(reply.error().code, Code::BadUpstream) << body;
    }
}

TEST(Embed, OllamaTellsItsTimes) {
    const auto reply = make_ollama_wire()->embedded(
        R"({"model":"m","embeddings":[[1,0]],"total_duration":50,"load_duration":20,"prompt_eval_count":3})",
        {.inputs = {"a"}});
    ASSERT_TRUE(reply);
    EXPECT_EQ(reply->load_time.count(), 20);
    EXPECT_EQ(reply->compute_time.count(), 30);
    EXPECT_EQ(reply->tokens, std::vector<std::uint32_t>{3});
    const auto none = make_ollama_wire()->embedded(R"({"embeddings":[]})", {.inputs = {}});
    ASSERT_TRUE(none);
    EXPECT_EQ(none->dimension, 0U);
}

TEST(Embed, MoreTokensThanAllowedAreRefused) {
    const char* body = R"({"data":[{"embedding":[1]}],"usage":{"prompt_tokens":8}})";
    EXPECT_TRUE(make_openai_wire()->embedded(body, {.inputs = {"a"}, .tokens_max = 8}));
    const auto over = make_openai_wire()->embedded(body, {.inputs = {"a"}, .tokens_max = 7});
    ASSERT_FALSE(over);
    EXPECT_EQ(over.error().code, Code::InvalidArgument);
}

TEST(Embed, SharesOfTokensAddUp) {
    for (const std::uint64_t total : {0ULL, 1ULL, 7ULL, 1000ULL, 4'000'000'000ULL}) {
        const auto shares =
            share_tokens(total, {"", "a", std::string(1000, 'x'), TokenIds{1, 2, 3}, "zz"});
        EXPECT_EQ(std::accumulate(shares.begin(), shares.end(), std::uint64_t{0}), total);
    }
    EXPECT_EQ(share_tokens(std::nullopt, {"text", TokenIds{1, 2}}),
              (std::vector<std::uint32_t>{0, 2}));
}

TEST(Embed, AVectorOfZerosStays) {
    std::vector<float> zeros(3);
    normalise(zeros);
    EXPECT_EQ(zeros, std::vector<float>(3));
    std::vector<float> large{3e30F, 4e30F};
    normalise(large);
    EXPECT_FLOAT_EQ(large[0], 0.6F);
}

}  // namespace
}  // namespace hearth::remote
