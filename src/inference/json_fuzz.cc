// The two parsers behind parse_json() must agree on every text: whether it is JSON, and what it
// says.
#include <boost/json.hpp>
#include <cstdint>
#include <string_view>

#include "base/error.h"
#include "inference/json.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    namespace json = boost::json;
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    json::parse_options options;
    options.max_depth = hearth::inference::kJsonDepthMax;
    options.numbers = json::number_precision::precise;
    boost::system::error_code slow_error;
    const json::value slow = json::parse(text, slow_error, {}, options);
    boost::system::error_code error;
    const json::value value = hearth::inference::parse_json(text, error);
    CHECK(error == slow_error);
    if (!error) CHECK(value == slow);
    return 0;
}
