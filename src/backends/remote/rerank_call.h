#pragma once

#include <string_view>
#include <vector>

#include "base/error.h"
#include "http/client.h"
#include "inference/rerank.h"

namespace hearth::remote {

// POST /v1/rerank, as vLLM, NIM, llama-server and most other servers of OpenAI's kind have it (the
// shape is Jina's). Pure.

// Errors: Unsupported (the model's own numbers are wanted: servers differ in what they give).
Result<http::Call> encode_rerank(const inference::RerankRequest& request, std::string_view model);
// The server's numbers as they are. Errors: BadUpstream.
Result<inference::RerankReply> decode_rerank(std::string_view body, std::size_t documents);

// Servers give a model's own numbers or their sigmoid, and do not say which. True: these are the
// model's own.
bool are_logits(const std::vector<float>& scores);
void put_between_0_and_1(std::vector<float>& logits);

}  // namespace hearth::remote
