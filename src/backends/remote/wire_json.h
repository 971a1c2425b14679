#pragma once

#include <boost/json.hpp>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/error.h"
#include "http/client.h"
#include "inference/json_members.h"

// Reading JSON of which nothing is certain, and what the kinds of upstreams have in common.
namespace hearth::remote {

using inference::count_at;
using inference::find;
using inference::flag_at;
using inference::list_at;
using inference::object_at;
using inference::text_at;

// A moment after 1970 and before 2200 as seconds since then: a number of them, or RFC 3339's text.
std::optional<std::int64_t> moment_at(const boost::json::object& from, std::string_view name);

// Whether the text is a JSON object of which `judge` thinks well, told its members of these names.
bool is_object_with(std::string_view text, std::span<const std::string_view> names,
                    bool (*judge)(const boost::json::object&));

// Error: BadUpstream.
Result<boost::json::object> read_answer(std::string_view text);
// BadUpstream: the answer is JSON of another form.
std::unexpected<Error> wrong_form(std::string_view what);
// BadUpstream, reason "stream_cut".
std::unexpected<Error> stream_cut();

// With numbers in their shortest form ("0.5", where boost writes "5E-1"), and null for what is no
// number.
std::string write_json(const boost::json::value& value);
http::Call post_json(std::string_view target, const boost::json::object& body);
http::Call read_call(std::string_view target);
// A segment of a path (RFC 3986 section 2.1).
std::string encode_segment(std::string_view text);

}  // namespace hearth::remote
