#pragma once

#include <boost/json/object.hpp>
#include <chrono>
#include <string_view>

#include "base/error.h"
#include "inference/generate.h"

namespace hearth::remote {

inline constexpr std::string_view kOllamaKind = "Ollama";

// The body of /api/chat for a Chat, of /api/generate for the others. A prompt over the context is
// refused and not cut ("truncate" and "shift" are false): what Ollama does by itself in silence.
Result<boost::json::object> ollama_body(const inference::GenerateRequest& request,
                                        std::string_view model);

// "300000ms", or -1 for ever.
boost::json::value ollama_keep_alive(std::chrono::milliseconds time);

}  // namespace hearth::remote
