#pragma once

#include <boost/json/object.hpp>
#include <string_view>

#include "base/error.h"

namespace hearth::api {

// A call that goes on with a bare text, or fills a gap in one, says some things as a chat does and
// engines know other words for them there: response_format becomes json_schema. Tools belong to a
// chat. Errors: InvalidArgument with `param`; `chat` is the route to go to instead.
Result<void> take_chat_words(boost::json::object& body, std::string_view chat);

// Errors: InvalidArgument for any tools.
Result<void> refuse_tools(const boost::json::object& body, std::string_view chat);

}  // namespace hearth::api
