#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "api/reply.h"
#include "base/error.h"
#include "inference/rerank.h"

// Reranking in three shapes. Pure functions.
// Sources: Jina AI's and Cohere's API references (v1 and v2), August 2026;
// huggingface/text-embeddings-inference 1.9, router/src/http; llama.cpp tools/server.
namespace hearth::api {

enum class RerankShape : std::uint8_t {
    Jina,    // {query, documents} on /v1/rerank. What Cohere's v1 adds is taken and answered too
    Cohere,  // the same on /v2/rerank
    Tei,     // {query, texts}
};

struct RerankCall {
    inference::RerankRequest request;
    std::optional<std::size_t> top_n;  // at least 1
    bool return_documents = false;
};

// Of a body for llama-server's routes, where `texts` in place of `documents` asks for TEI's shape.
RerankShape rerank_shape(std::string_view body);

// `model` may be empty. At most inference::kDocumentsMax documents, none of them empty. Cohere's
// bounds of a document's tokens say where it is cut, and are there by default on /v2/rerank.
// Errors: InvalidArgument with `param`; reason "empty" for an empty list.
Result<RerankCall> parse_rerank(std::string_view body, RerankShape shape);

// Best first; of equal scores the earlier document first. The model is named as in the call; `id`
// names the answer.
Reply encode_rerank(const inference::RerankReply& reply, const RerankCall& call, RerankShape shape,
                    std::string_view id);

// Places are named as the shape names them.
Reply encode_rerank_error(const Error& error, RerankShape shape);

}  // namespace hearth::api
