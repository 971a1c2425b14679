#pragma once

#include <boost/json/fwd.hpp>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

// Writing JSON by appending to one string.
namespace hearth::api {

// A quoted string; ill-formed UTF-8 becomes U+FFFD.
void append_text(std::string& out, std::string_view text);
// The same, or null when empty.
void append_text_or_null(std::string& out, std::string_view text);
// Shortest form that reads back as the same value; null when not finite (JSON has no other word for
// it).
void append_number(std::string& out, float value);
void append_number(std::string& out, double value);
void append_integer(std::string& out, std::int64_t value);
void append_integer(std::string& out, std::uint64_t value);
// Any value, with the rules above for its texts and numbers, as boost's own writer does not have
// them. Recursive: as deep as the value is nested.
void append_json(std::string& out, const boost::json::value& value);
void append_json(std::string& out, const boost::json::object& object);
void append_json(std::string& out, const boost::json::array& array);
// [0.1,-0.2,...]; grows `out` once.
void append_vector(std::string& out, std::span<const float> values);
// "2026-11-21T03:25:00.123456789Z": RFC 3339 in UTC with nanoseconds.
void append_time(std::string& out, std::int64_t unix_ns);

}  // namespace hearth::api
