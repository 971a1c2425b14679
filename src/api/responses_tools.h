#pragma once

#include <boost/json/object.hpp>

#include "base/error.h"

namespace hearth::api::responses {

// Puts the tools of a body and the choice among them into the words of a chat, which nest a
// function one level deeper. What an answer is to say of both is added to `asked`. Errors:
// InvalidArgument, Unsupported (tools that run inside a server), with `param`.
Result<void> take_tools(boost::json::object& body, boost::json::object& asked);

}  // namespace hearth::api::responses
