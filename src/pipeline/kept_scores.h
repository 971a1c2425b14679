#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "cache/entry.h"
#include "cache/key.h"
#include "inference/rerank.h"
#include "pipeline/caller.h"

namespace hearth::pipeline {

// Of a reranking call to whatever has that identity (inference::Backend::identity).
cache::Key key_of(const inference::RerankRequest& request, std::string_view identity,
                  const Caller& caller);

// Tokens (u64) and scores (float32), little-endian.
std::string payload_of(const inference::RerankReply& reply);
// Without the model's name. Nothing: the entry is not of so many documents.
std::optional<inference::RerankReply> scores_of(const cache::Entry& entry, std::size_t documents);

}  // namespace hearth::pipeline
