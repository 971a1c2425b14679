#pragma once

#include <boost/json.hpp>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "base/error.h"
#include "inference/json_members.h"

// Reading the body of a generating call as a whole JSON object: unlike the lists of embed_body.h it
// is short of items and rich in members, and what we do not know of it travels on.
namespace hearth::api {

enum class Kind : std::uint8_t { Text, Flag, Number, Whole, List, Object, Any };

// What a member must be where it is present and not null.
struct Member {
    std::string_view name;
    Kind kind = Kind::Any;
    double least = -1e300;  // of Number and Whole
    double most = 1e300;
};

// Standard JSON in UTF-8, an object, at most 64 levels deep, every number finite. Of equal members
// the last counts. Errors: InvalidArgument.
Result<boost::json::object> read_object(std::string_view body);

// Errors: InvalidArgument with `param`, for the first member that is not what its row says.
Result<void> check_members(const boost::json::object& body, std::span<const Member> members);

// "stop" of the OpenAI forms. Errors: InvalidArgument with `param`.
Result<void> check_stop(const boost::json::object& body);

using inference::find;
using inference::flag_at;
using inference::list_at;
using inference::object_at;
// As text_at().
std::string text_of(const boost::json::object& from, std::string_view name);

// InvalidArgument: "NAME must be EXPECTED".
Error must_be(std::string_view name, std::string_view expected);

}  // namespace hearth::api
