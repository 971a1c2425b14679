#pragma once

#include <chrono>
#include <span>
#include <string>
#include <string_view>

#include "api/gguf_info.h"
#include "api/reply.h"
#include "api/view.h"
#include "base/error.h"
#include "inference/embed.h"
#include "models/model.h"

// The Ollama dialect: /api/embed, /api/embeddings, /api/tags, /api/show, /api/ps, /api/version and
// the liveness text. Pure functions. Source: ollama/ollama server/routes.go and api/types.go,
// August 2026.
namespace hearth::api::ollama {

// Body of POST /api/embed. No input, or an empty one, leaves `inputs` empty: load the model and
// answer []. Errors: InvalidArgument with `param`.
Result<inference::EmbedRequest> parse_embed(std::string_view body);
// Body of POST /api/embeddings (one prompt); as above.
Result<inference::EmbedRequest> parse_embeddings(std::string_view body);

// `model`: as the caller wrote it. `total`: from the first byte of the request to now.
Reply encode_embed(const inference::EmbedReply& reply, std::string_view model,
                   std::chrono::nanoseconds total);
Reply encode_embeddings(const inference::EmbedReply& reply);

struct ShowCall {
    std::string model;
    bool verbose = false;
};
// Body of POST /api/show ("model", or "name" from older clients).
Result<ShowCall> parse_show(std::string_view body);
// `info` and `projector`: of the files of a GGUF model, empty where there are none.
Reply encode_show(const models::Model& model, const GgufInfo& info = {},
                  const GgufInfo& projector = {});

Reply encode_tags(std::span<const models::Model> models);
// Longest remaining first.
Reply encode_ps(std::span<const RunningModel> running);
Reply encode_version(std::string_view version);
// The fixed text of GET /, which clients compare.
Reply encode_alive();

// Retry-After on 429 and 503.
Reply encode_error(const Error& error);

// What a number of seconds in keep_alive means: rounded up, negative for ever.
std::chrono::milliseconds keep_for_seconds(double seconds);
// A Go duration ("1h30m", "-1s", "0"), negative for ever. Errors: InvalidArgument.
Result<std::chrono::milliseconds> parse_duration(std::string_view text);

}  // namespace hearth::api::ollama
