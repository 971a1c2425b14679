#pragma once

#include <boost/json/object.hpp>

#include "base/error.h"
#include "inference/generate.h"
#include "models/model.h"

namespace hearth::api {

// Ollama's names of options in the words of inference/generate.h. What `body` already says stays.
// "num_ctx" goes to context_min; options of the runner, and unknown ones, change nothing.
// Errors: InvalidArgument, naming the option.
Result<void> apply_options(const boost::json::object& options, inference::GenerateRequest& request);

// What a model's manifest sets for calls that do not: options, the system prompt, messages before
// the caller's. A manifest that is no JSON changes nothing: its reader has refused it.
void apply_model_defaults(const models::GgufModel& model, inference::GenerateRequest& request);

}  // namespace hearth::api
