#pragma once

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <string>

#include "models/gguf.h"

namespace hearth::api {

// What a GGUF file says of itself, as Ollama's clients know it. Lists are null: vocabularies would
// bury the rest, and stay in the file.
struct GgufInfo {
    boost::json::object values;  // without the chat template
    std::string chat_template;
    boost::json::array tensors;  // name, type, shape; empty unless asked for
};

GgufInfo describe_gguf(const models::GgufHeader& header, bool with_tensors);

}  // namespace hearth::api
