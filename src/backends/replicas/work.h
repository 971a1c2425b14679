#pragma once

#include <cstdint>

#include "backends/replicas/prefix.h"
#include "inference/embed.h"
#include "inference/generate.h"
#include "inference/rerank.h"

namespace hearth::replicas {

// What a call will cost whoever serves it, as far as its text tells.
struct Work {
    PrefixChain prompt;
    std::int64_t tokens = 0;  // of the prompt and of the answer, guessed
};

// `hashed`: with the chain of the prompt, which only a choice among several is made by.
Work work_of(const inference::GenerateRequest& request, bool hashed = true);
Work work_of(const inference::EmbedRequest& request);
Work work_of(const inference::RerankRequest& request);

}  // namespace hearth::replicas
