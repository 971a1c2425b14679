#pragma once

#include <memory>

#include "backends/remote/wire.h"

namespace hearth::remote {

// The event stream of an OpenAI-compatible server. Chat and Completion events are handed on with
// little changed; Infill and Native calls, asked as completions, are answered in their own words.
std::unique_ptr<WireStream> make_openai_stream(const inference::GenerateRequest& request,
                                               Stamp stamp);

}  // namespace hearth::remote
