#pragma once

#include <boost/json/object.hpp>

#include "base/error.h"

// OpenAI's own servers, which refuse every member that their API does not have; those that are
// compatible with it pass over what they do not know.
namespace hearth::remote {

// A body of /v1/chat/completions or /v1/completions with that API's members alone: what can change
// no answer is left out, the limit of a chat has the name that all its models take, how hard to
// think is told by reasoning_effort, and messages lose what only other servers say of reasoning.
// Errors: Unsupported, naming the member that has no word there.
Result<void> make_strict(boost::json::object& body, bool is_chat);

}  // namespace hearth::remote
