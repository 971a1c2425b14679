#pragma once

#include <memory>

#include "backends/remote/wire.h"

namespace hearth::remote {

// The event stream of /v1/messages. The signature of a thinking block comes as
// "reasoning_signature" in a delta; an assistant's message that brings it back, beside
// "reasoning_content", lets the model go on from its own thinking.
std::unique_ptr<WireStream> make_anthropic_stream(const inference::GenerateRequest& request,
                                                  Stamp stamp);

}  // namespace hearth::remote
