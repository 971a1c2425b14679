#pragma once

#include <boost/json/array.hpp>

#include "base/error.h"

namespace hearth::remote {

// Messages as /api/chat has them: text and images apart, arguments as objects, and the results of
// tools named by the tool. Errors: InvalidArgument, Unsupported.
Result<boost::json::array> ollama_messages(const boost::json::array& messages);

}  // namespace hearth::remote
