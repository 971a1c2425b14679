#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "inference/rerank.h"

// Reranking by llama-server: requests out, answers in, for its POST /v1/rerank, which takes texts
// and no token ids. Tokens are counted first: only so are lengths known. Pure.
namespace hearth::worker {

std::string encode_rerank_call(std::string_view query, std::span<const std::string> documents);

// Of one answer.
struct RankedDocuments {
    std::vector<float> scores;  // as the engine gave them, in the order of the documents
    std::uint64_t tokens = 0;   // of all pairs, special tokens included
};

// Errors: BadUpstream for what is no score, one and finite, for each of `count` documents.
Result<RankedDocuments> decode_rerank(std::string_view body, std::size_t count);

// Numbers between 0 and 1 for the classifier's own.
void squash_scores(std::span<float> scores);

// What the engine says of a pair that is longer than its batch is a fault of the caller's.
Error explain_rerank_error(Error error);

// Tokens of a request's texts, without special ones.
struct RerankLengths {
    std::size_t query = 0;
    std::vector<std::size_t> documents;
};

// Tokens that a query, and each document beside it, may have.
struct RerankRoom {
    std::size_t query = 0;
    std::size_t document = 0;
};

// `added`: tokens that the engine puts around a pair. Errors: InvalidArgument with the place in
// `param`, reason "context_length_exceeded".
Result<RerankRoom> share_room(const inference::RerankRequest& request, const RerankLengths& lengths,
                              std::size_t added, std::size_t tokens_max);

// Searches the longest beginning (or end) of a text with at most so many tokens; the caller counts.
// Few counts are needed, since most texts have about the same number of tokens to the byte
// throughout. What was found is always a piece that was counted, or nothing.
class TextCut {
  public:
    // `tokens`: of the whole text, which must outlive this. `tokens_max` is less.
    TextCut(std::string_view text, std::size_t tokens, std::size_t tokens_max,
            inference::Overflow overflow);

    // What to count next; absent when the search is over.
    std::optional<std::string_view> next();
    void counted(std::size_t tokens);
    std::string_view found() const { return piece(low_); }

  private:
    std::string_view piece(std::size_t bytes) const;
    std::size_t guess() const;
    // The largest length up to `bytes` that splits no character; over `low_`, or 0.
    std::size_t whole_characters(std::size_t bytes) const;

    const std::string_view text_;
    const std::size_t tokens_max_;
    const bool from_end_;
    // Lengths in bytes, with their tokens: what fits, and what does not.
    std::size_t low_ = 0;
    std::size_t low_tokens_ = 0;
    std::size_t high_;
    std::size_t high_tokens_;
    std::size_t asked_ = 0;
    int counts_ = 0;
};

}  // namespace hearth::worker
