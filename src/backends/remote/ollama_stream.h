#pragma once

#include <memory>

#include "backends/remote/wire.h"

namespace hearth::remote {

// The NDJSON of /api/chat and /api/generate.
std::unique_ptr<WireStream> make_ollama_stream(const inference::GenerateRequest& request,
                                               Stamp stamp);

}  // namespace hearth::remote
