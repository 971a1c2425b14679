#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "api/reply.h"
#include "base/error.h"
#include "inference/embed.h"
#include "models/model.h"

// The OpenAI dialect: /v1/embeddings and /v1/models. Pure functions.
// Source: openai/openai-openapi, August 2026.
namespace hearth::api::openai {

enum class VectorFormat : std::uint8_t { Float, Base64 };

struct EmbeddingsCall {
    inference::EmbedRequest request;
    VectorFormat format = VectorFormat::Float;
};

// Body of POST /v1/embeddings. At most 2,048 inputs and 300,000 tokens in total (token_max counts
// the texts, the ids are counted here). Unknown fields are ignored; of equal keys the last counts.
// Errors: InvalidArgument with `param`.
Result<EmbeddingsCall> parse_embeddings(std::string_view body);

// `model`: the name to answer with.
Reply encode_embeddings(const inference::EmbedReply& reply, VectorFormat format,
                        std::string_view model);

Reply encode_models(std::span<const models::Model> models);
Reply encode_model(const models::Model& model);
// The answer to DELETE /v1/models/NAME.
Reply encode_deleted(std::string_view name);

// Status, `type` and `code` by error code; Retry-After on 429 and 503.
Reply encode_error(const Error& error);

}  // namespace hearth::api::openai
