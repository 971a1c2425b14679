#pragma once

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/value.hpp>
#include <cstdint>
#include <optional>
#include <string_view>

// Reading JSON of which nothing is certain: what is absent or of another type than asked for is the
// same to whoever asks. What is returned lives as long as the object.
namespace hearth::inference {

// nullptr when absent or null.
const boost::json::value* find(const boost::json::object& from, std::string_view name);
const boost::json::object* object_at(const boost::json::object& from, std::string_view name);
const boost::json::array* list_at(const boost::json::object& from, std::string_view name);
// Empty when it is no string.
std::string_view text_at(const boost::json::object& from, std::string_view name);
bool flag_at(const boost::json::object& from, std::string_view name, bool otherwise = false);
// A number from 0 to 10^15, without what is behind its point.
std::optional<std::uint64_t> count_at(const boost::json::object& from, std::string_view name);

}  // namespace hearth::inference
