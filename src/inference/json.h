#pragma once

#include <boost/json/object.hpp>
#include <boost/json/storage_ptr.hpp>
#include <boost/json/value.hpp>
#include <boost/system/error_code.hpp>
#include <cstddef>
#include <span>
#include <string_view>

namespace hearth::inference {

inline constexpr std::size_t kJsonDepthMax = 64;

// One JSON value, at most kJsonDepthMax levels deep, without a byte order mark before it: what
// boost::json::parse gives, and its errors, read by simdjson, which is several times as fast with
// texts as long as prompts and with those as short as an event of a stream. Null on an error.
// Thread-safe.
boost::json::value parse_json(std::string_view text, boost::system::error_code& error,
                              boost::json::storage_ptr storage = {});

// The same of an object of which only a few members matter: the whole text is checked, and built is
// what has one of these names at the top level. Of texts of more than 64 KiB all may be.
boost::json::value parse_members(std::string_view text, std::span<const std::string_view> names,
                                 boost::system::error_code& error,
                                 boost::json::storage_ptr storage = {});

// About what a value takes in memory, in bytes; an empty one is not for nothing.
std::size_t weight_of(const boost::json::value& value);
std::size_t weight_of(const boost::json::object& value);

}  // namespace hearth::inference
