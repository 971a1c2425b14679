#pragma once

#include <optional>
#include <string_view>

#include "backends/remote/upstream.h"
#include "base/error.h"
#include "http/client.h"
#include "inference/backend.h"

// Models in the memory of servers elsewhere.
namespace hearth::remote {

// What brings a model into the memory of a server, or (keep_alive 0) takes it out: Ollama's
// /api/generate without a prompt, which a model that makes vectors alone refuses to be brought in
// by. nullopt: servers of this kind have no words for it. Pure.
std::optional<http::Call> load_call(std::string_view kind, const inference::LoadRequest& request,
                                    std::string_view model);

// Of a server that decides itself what is in its memory: the first call brings a model there, so
// that there is nothing to do before. Unsupported where it is to be taken out.
Result<void> load_by_itself(const UpstreamOptions& options, const inference::LoadRequest& request);

}  // namespace hearth::remote
