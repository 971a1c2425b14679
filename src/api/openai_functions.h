#pragma once

#include <boost/json/object.hpp>

#include "base/error.h"

// The form that tools replaced and clients still send: functions and function_call. No engine knows
// it, so it is translated on the way in and on the way out.
namespace hearth::api::openai {

// "functions", "function_call" and the messages of a body become tools, tool_choice, tool calls and
// their results. True: the caller asked in the old form and is to be answered in it. Where there
// are tools too, they count. "functions" must have been checked to be a list. Errors:
// InvalidArgument with `param`.
Result<bool> translate_functions(boost::json::object& body);

// A choice of an answer in the old form: of its "delta" or "message" the first tool call.
void restore_function_call(boost::json::object& choice);

}  // namespace hearth::api::openai
