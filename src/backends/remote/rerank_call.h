#pragma once

#include <string_view>

#include "base/error.h"
#include "http/client.h"
#include "inference/rerank.h"

namespace hearth::remote {

// POST /v1/rerank, as vLLM, NIM, llama-server and most other servers of OpenAI's kind have it (the
// shape is Jina's). Pure.

// Errors: Unsupported (the model's own numbers are wanted: servers differ in what they give).
Result<http::Call> encode_rerank(const inference::RerankRequest& request, std::string_view model);
// Scores are put between 0 and 1 where the server's are not. Errors: BadUpstream.
Result<inference::RerankReply> decode_rerank(std::string_view body, std::size_t documents);

}  // namespace hearth::remote
