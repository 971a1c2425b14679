#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "inference/embed.h"

// The canonical form of a reranking call: how well each document answers a query.
namespace hearth::inference {

inline constexpr std::size_t kDocumentsMax = 2048;

struct RerankRequest {
    std::string model;                   // as the caller wrote it
    std::string query;                   // in UTF-8, not empty
    std::vector<std::string> documents;  // 1 to kDocumentsMax, each in UTF-8
    // Refuse: InvalidArgument, reason "context_length_exceeded", for a query and a document that
    // are longer together than the model's window. Otherwise documents are cut; the query is where
    // it and the longest document do not fit, and then to no less than half of the window.
    Overflow overflow = Overflow::Refuse;
    std::size_t document_tokens_max = 0;  // where documents are cut anyway; 0: no such bound
    bool raw_scores = false;              // the model's own numbers instead of some between 0 and 1
    std::optional<std::chrono::milliseconds> keep_alive;  // negative: for ever
};

struct RerankReply {
    std::string model;          // the model that answered
    std::string backend;        // which of several did; empty: there is one
    bool stands_in = false;     // another model than the one asked for answered
    std::vector<float> scores;  // finite, in the order of documents; the higher the better
    std::uint64_t tokens = 0;   // of all pairs, special tokens included, after a cut; 0: not told
    std::chrono::nanoseconds load_time{0};
    std::chrono::nanoseconds compute_time{0};
};

}  // namespace hearth::inference
