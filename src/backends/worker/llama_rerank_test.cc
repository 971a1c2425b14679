#include "backends/worker/llama_rerank.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <boost/json.hpp>
#include <functional>

#include "base/encoding.h"
#include "base/format.h"

namespace hearth::worker {
namespace {

namespace json = boost::json;
using inference::Overflow;
using inference::RerankRequest;

std::string ranking(std::string_view results, std::string_view usage = R"({"prompt_tokens":9})") {
    return format(R"({{"results":{},"usage":{}}})", results, usage);
}

TEST(LlamaRerank, SendsTexts) {
    const std::vector<std::string> documents = {"a \"b\"", "ü"};
    const json::value call = json::parse(encode_rerank_call("q\n", documents));
    EXPECT_EQ(call.at("query").as_string(), "q\n");
    ASSERT_EQ(call.at("documents").as_array().size(), 2U);
    EXPECT_EQ(call.at("documents").at(0).as_string(), "a \"b\"");
    EXPECT_EQ(call.at("documents").at(1).as_string(), "ü");
}

TEST(LlamaRerank, PutsScoresInTheOrderOfTheDocuments) {
    const auto ranked = decode_rerank(ranking(R"([{"index":2,"relevance_score":3},)"
                                              R"({"index":0,"relevance_score":0.5},)"
                                              R"({"index":1,"relevance_score":-11.25}])"),
                                      3);
    ASSERT_TRUE(ranked) << ranked.error().message;
    EXPECT_EQ(ranked->scores, (std::vector<float>{0.5F, -11.25F, 3}));
    EXPECT_EQ(ranked->tokens, 9U);
}

TEST(LlamaRerank, RefusesWhatIsNoScoreForEachDocument) {
    const std::string one = R"([{"index":0,"relevance_score":1}])";
    ASSERT_TRUE(decode_rerank(ranking(one), 1));
    for (const std::string& bad :
         {std::string(), std::string("[]"), std::string("{}"), ranking("[]"), ranking("{}"),
          ranking(R"([{"index":1,"relevance_score":1}])"),
          ranking(R"([{"index":-1,"relevance_score":1}])"),
          ranking(R"([{"index":0.5,"relevance_score":1}])"),
          ranking(R"([{"index":0,"relevance_score":null}])"),
          ranking(R"([{"index":0,"relevance_score":"1"}])"),
          ranking(R"([{"index":0,"relevance_score":1e300}])"), ranking(R"([{"index":0}])"),
          ranking("[1]"), ranking(one, "{}"), ranking(one, R"({"prompt_tokens":-1})"),
          ranking(one, "3"), std::string(R"({"results":[{"index":0,"relevance_score":1}]})")}) {
        const auto ranked = decode_rerank(bad, 1);
        ASSERT_FALSE(ranked) << bad;
        EXPECT_EQ(ranked.error().code, Code::BadUpstream);
    }
    EXPECT_FALSE(decode_rerank(ranking(R"([{"index":0,"relevance_score":1},)"
                                       R"({"index":0,"relevance_score":1}])"),
                               2));
}

TEST(LlamaRerank, SquashesScoresBetweenZeroAndOneInTheirOrder) {
    std::vector<float> scores = {0, 2, -2, 1000, -1000};
    squash_scores(scores);
    EXPECT_FLOAT_EQ(scores[0], 0.5F);
    EXPECT_NEAR(scores[1], 0.880797, 1e-6);
    EXPECT_NEAR(scores[2], 0.119203, 1e-6);
    EXPECT_EQ(scores[3], 1);
    EXPECT_EQ(scores[4], 0);
}

TEST(LlamaRerank, AnInputThatIsTooLongIsTheCallersFault) {
    const Error engine{.code = Code::BadUpstream,
                       .message = "input (600 tokens) is too large to process. increase"};
    const Error explained = explain_rerank_error(engine);
    EXPECT_EQ(explained.code, Code::InvalidArgument);
    EXPECT_EQ(explained.reason, "context_length_exceeded");
    EXPECT_EQ(explained.param, "documents");
    const Error other = explain_rerank_error({.code = Code::BadUpstream, .message = "broken"});
    EXPECT_EQ(other.code, Code::BadUpstream);
}

RerankRequest wish(Overflow overflow, std::size_t document_tokens_max = 0) {
    RerankRequest request;
    request.overflow = overflow;
    request.document_tokens_max = document_tokens_max;
    return request;
}

// The query's room and the document's, or the error.
std::string shared(const RerankRequest& request, const RerankLengths& lengths,
                   std::size_t tokens_max = 100, std::size_t added = 3) {
    const auto room = share_room(request, lengths, added, tokens_max);
    if (!room) return room.error().param + ": " + room.error().message;
    const bool open = room->document > 1'000'000;
    return format("{} {}", room->query, open ? "all" : std::to_string(room->document));
}

TEST(LlamaRerank, WhatFitsIsLeftAsItIs) {
    for (const auto overflow : {Overflow::Refuse, Overflow::CutRight, Overflow::CutLeft}) {
        EXPECT_EQ(shared(wish(overflow), {.query = 90, .documents = {1, 7, 3}}), "90 all");
        EXPECT_EQ(shared(wish(overflow, 5), {.query = 92, .documents = {5, 700}}), "92 5");
    }
}

TEST(LlamaRerank, WhatDoesNotFitIsRefusedByName) {
    EXPECT_EQ(shared(wish(Overflow::Refuse), {.query = 90, .documents = {7, 8, 9}}),
              "documents[1]: documents[1] and the query have 101 tokens; the model's window is "
              "100");
    EXPECT_EQ(shared(wish(Overflow::Refuse), {.query = 97, .documents = {1}}),
              "query: query has 100 tokens; the model's window is 100");
    EXPECT_EQ(shared(wish(Overflow::Refuse), {.query = 1, .documents = {1}}, 2),
              "query: query has 4 tokens; the model's window is 2");
    const auto refused =
        share_room(wish(Overflow::Refuse), {.query = 90, .documents = {8}}, 3, 100);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, Code::InvalidArgument);
    EXPECT_EQ(refused.error().reason, "context_length_exceeded");
}

TEST(LlamaRerank, WhatDoesNotFitIsCutWhereAsked) {
    // The document, and the query only where it is the longer one.
    EXPECT_EQ(shared(wish(Overflow::CutRight), {.query = 10, .documents = {5, 500}}), "10 87");
    EXPECT_EQ(shared(wish(Overflow::CutRight), {.query = 500, .documents = {5, 7}}), "90 7");
    EXPECT_EQ(shared(wish(Overflow::CutLeft), {.query = 500, .documents = {500}}), "48 49");
    EXPECT_EQ(shared(wish(Overflow::CutRight, 20), {.query = 90, .documents = {500}}), "77 20");
    EXPECT_EQ(shared(wish(Overflow::CutRight), {.query = 5, .documents = {5}}, 2), "0 0");
    // A prompt around the pair: the seams may take a few tokens more than was counted.
    EXPECT_EQ(shared(wish(Overflow::CutRight), {.query = 10, .documents = {500}}, 100, 40),
              "10 46");
    EXPECT_EQ(shared(wish(Overflow::Refuse), {.query = 10, .documents = {50}}, 100, 40), "10 all");
}

// Runs a search with a tokenizer of its own.
struct Search {
    std::string found;
    int counts = 0;
};
Search search(std::string_view text, std::size_t tokens_max, Overflow overflow,
              const std::function<std::size_t(std::string_view)>& tokens) {
    Search result;
    TextCut cut(text, tokens(text), tokens_max, overflow);
    while (const auto piece = cut.next()) {
        EXPECT_TRUE(is_utf8(*piece));
        cut.counted(tokens(*piece));
        ++result.counts;
    }
    result.found = cut.found();
    return result;
}

std::size_t count_words(std::string_view text) {
    std::size_t count = 0;
    bool inside = false;
    for (const char c : text) {
        if (c != ' ' && !inside) ++count;
        inside = c != ' ';
    }
    return count;
}

TEST(LlamaRerank, CutsATextToItsTokensFromEitherEnd) {
    std::string text;
    for (int i = 0; i < 1000; ++i) text += format("word{} ", i);
    const Search right = search(text, 100, Overflow::CutRight, count_words);
    EXPECT_EQ(count_words(right.found), 100U);
    EXPECT_TRUE(text.starts_with(right.found));
    EXPECT_LE(right.counts, 8);
    const Search left = search(text, 100, Overflow::CutLeft, count_words);
    EXPECT_EQ(count_words(left.found), 100U);
    EXPECT_TRUE(text.ends_with(left.found));
    EXPECT_LE(left.counts, 8);
}

TEST(LlamaRerank, CutsTextsWhoseTokensAreSpreadUnevenly) {
    // One token in the first half, and one to the byte in the other.
    const std::string text = std::string(5000, 'x') + " " + std::string(5000, '.');
    const auto tokens = [](std::string_view piece) {
        return static_cast<std::size_t>(std::ranges::count(piece, '.')) +
               (piece.contains('x') ? 1 : 0);
    };
    for (const std::size_t most : {1UL, 2UL, 7UL, 2500UL, 5000UL}) {
        for (const auto overflow : {Overflow::CutRight, Overflow::CutLeft}) {
            const Search done = search(text, most, overflow, tokens);
            EXPECT_EQ(tokens(done.found), most);
            EXPECT_LE(done.counts, 24);
        }
    }
}

TEST(LlamaRerank, SplitsNoCharacterAndEndsWhereNothingFits) {
    std::string text;
    for (int i = 0; i < 300; ++i) text += i % 2 == 0 ? "\xF0\x9F\x98\x80" : "ü";
    const auto characters = [](std::string_view piece) {
        return static_cast<std::size_t>(
            std::ranges::count_if(piece, [](char c) { return (c & 0xC0) != 0x80; }));
    };
    for (const auto overflow : {Overflow::CutRight, Overflow::CutLeft}) {
        EXPECT_EQ(characters(search(text, 7, overflow, characters).found), 7U);
        EXPECT_EQ(search(text, 0, overflow, characters).found, "");
        // Every piece of it has too many.
        const Search none = search(text, 3, overflow, [](std::string_view) { return 9UL; });
        EXPECT_EQ(none.found, "");
        EXPECT_LE(none.counts, 24);
        EXPECT_EQ(search("\xF0\x9F\x98\x80", 1, overflow, [](auto) { return 4UL; }).found, "");
        EXPECT_EQ(search("", 0, overflow, count_words).found, "");
    }
}

}  // namespace
}  // namespace hearth::worker
