#pragma once

#include <string_view>

#include "api/embed_body.h"
#include "api/reply.h"
#include "api/view.h"
#include "base/error.h"
#include "inference/embed.h"
#include "models/model.h"

// The dialect of text-embeddings-inference: /embed and /info. Pure functions.
// Source: huggingface/text-embeddings-inference 1.9, router/src/http.
namespace hearth::api::tei {

// What its members `truncate` and `truncation_direction` ask for.
Result<inference::Overflow> read_overflow(const Body& body);

// Body of POST /embed. `model` stays empty: this dialect has no name for it, the server serves one.
// Errors: InvalidArgument with `param`; reason "empty" for an empty list.
Result<inference::EmbedRequest> parse_embed(std::string_view body);

// A bare list of vectors.
Reply encode_embed(const inference::EmbedReply& reply);

Reply encode_info(const models::Model& model, std::string_view version, const ServerLimits& limits);

Reply encode_error(const Error& error);

}  // namespace hearth::api::tei
