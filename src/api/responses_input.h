#pragma once

#include <boost/json.hpp>

#include "base/error.h"

namespace hearth::api::responses {

// The messages of a chat that say what `input` says, a text or a list of items, and before it
// `instructions` (empty: none). What a model said in one turn, its reasoning, its text and its
// calls, becomes one message; what stands before the first of a user becomes one message of the
// system, since many templates know no second one. Images must be in the item: nothing is fetched
// on a caller's word, and no file is read. Errors: InvalidArgument, Unsupported, with `param`.
Result<boost::json::array> messages_of(const boost::json::value& input,
                                       std::string_view instructions);

}  // namespace hearth::api::responses
