#pragma once

#include <boost/json/object.hpp>
#include <optional>

#include "base/error.h"

namespace hearth::api::openai {

// Checks the messages of a body, at most 10,000, and puts them into the words engines know: the
// roles "developer" and "function", "reasoning", parts that are a refusal, images as a bare string.
// Images and sounds must be in the message: nothing is fetched on a caller's word, and no file is
// read. Errors: InvalidArgument with `param`. Returned, likewise an InvalidArgument, is what only a
// server of this dialect can be sent: the first image by its address, or file.
Result<std::optional<Error>> take_messages(boost::json::object& body);

}  // namespace hearth::api::openai
