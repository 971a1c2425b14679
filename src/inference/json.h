#pragma once

#include <boost/json/storage_ptr.hpp>
#include <boost/json/value.hpp>
#include <boost/system/error_code.hpp>
#include <cstddef>
#include <string_view>

namespace hearth::inference {

inline constexpr std::size_t kJsonDepthMax = 64;

// One JSON value, at most kJsonDepthMax levels deep: what boost::json::parse gives, and its errors,
// read by simdjson, which is several times as fast with texts as long as prompts and with those as
// short as an event of a stream. Null on an error. Thread-safe.
boost::json::value parse_json(std::string_view text, boost::system::error_code& error,
                              boost::json::storage_ptr storage = {});

}  // namespace hearth::inference
