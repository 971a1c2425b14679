#pragma once

#include <boost/json.hpp>
#include <string>
#include <string_view>

#include "base/error.h"

// JSON of servers and of our own state files. Only for the .cc files of this folder.
namespace hearth::fetch {

// Standard JSON, at most 32 levels deep. `what` is what a message calls it. Errors: bad_registry.
Result<boost::json::value> parse_json_text(std::string_view text, std::string_view what);

// The member of an object when it is a string; empty: it is not, or `value` is no object.
std::string text_member(const boost::json::value& value, std::string_view name);

// What a server's error document says: {"error": "..."}, {"message": "..."} or the registry form
// {"errors": [{"message": "..."}]}; empty when it says nothing of the kind.
std::string error_message_in(std::string_view document);

}  // namespace hearth::fetch
