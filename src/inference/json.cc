#include "inference/json.h"

#include <boost/json/parse.hpp>
#include <boost/json/parser.hpp>
#include <utility>

namespace hearth::inference {
namespace {

namespace json = boost::json;

// The kept parser holds memory in proportion to what it has parsed.
constexpr std::size_t kKeptBytesMax = 64 << 10;

json::parse_options options() {
    json::parse_options options;
    options.max_depth = kJsonDepthMax;
    return options;
}

}  // namespace

json::value parse_json(std::string_view text, boost::system::error_code& error,
                       json::storage_ptr storage) {
    if (text.size() > kKeptBytesMax) {
        return json::parse(text, error, std::move(storage), options());
    }
    thread_local json::parser parser({}, options());
    parser.reset(std::move(storage));
    parser.write(text, error);
    json::value value = error ? json::value() : parser.release();
    parser.reset();  // the storage may be gone before the next text comes
    return value;
}

}  // namespace hearth::inference
