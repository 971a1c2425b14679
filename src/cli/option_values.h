#pragma once

#include <boost/json/object.hpp>
#include <string_view>

#include "base/error.h"

// What a caller may set of a model, in Ollama's words (docs/modelfile.md, "Valid Parameters and
// Values"). Pure functions. Errors: InvalidArgument.
namespace hearth::cli {

// Puts the option into `options` with the type it has on the wire. "stop" may come several times;
// any other one replaces what was there.
Result<void> set_option(boost::json::object& options, std::string_view name,
                        std::string_view value);

// "NAME=VALUE".
Result<void> set_option(boost::json::object& options, std::string_view assignment);

// The value of "keep_alive": a number of seconds where it is one, else a duration for the server.
boost::json::value keep_alive_value(std::string_view text);

// The value of "think": true, false or a level.
Result<boost::json::value> think_value(std::string_view text);

}  // namespace hearth::cli
