#include "inference/json.h"

#include <simdjson.h>

#include <algorithm>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <utility>

namespace hearth::inference {
namespace {

namespace json = boost::json;
namespace dom = simdjson::dom;

// A parser holds memory in proportion to what it has parsed: one is kept for short texts, one made
// for each that is longer, and of the longest Boost's, which needs no memory beside the value's.
constexpr std::size_t kKeptBytesMax = 64 << 10;
constexpr std::size_t kFastBytesMax = 8 << 20;

json::parse_options options() {
    json::parse_options options;
    options.max_depth = kJsonDepthMax;
    options.numbers = json::number_precision::precise;  // as the other
    return options;
}

json::value built(const dom::element& element, const json::storage_ptr& storage);

json::value built(const dom::array& from, const json::storage_ptr& storage) {
    json::array out(storage);
    out.reserve(from.size());
    for (const dom::element item : from) out.push_back(built(item, storage));
    return out;
}

// Of members of one name the last counts.
json::value built(const dom::object& from, const json::storage_ptr& storage) {
    json::object out(storage);
    out.reserve(from.size());
    for (const dom::key_value_pair field : from) {
        out.insert_or_assign(field.key, built(field.value, storage));
    }
    return out;
}

json::value built(const dom::element& element, const json::storage_ptr& storage) {
    switch (element.type()) {
        case dom::element_type::ARRAY: return built(dom::array(element), storage);
        case dom::element_type::OBJECT: return built(dom::object(element), storage);
        case dom::element_type::INT64: return json::value(std::int64_t(element), storage);
        case dom::element_type::UINT64: return json::value(std::uint64_t(element), storage);
        case dom::element_type::DOUBLE: return json::value(double(element), storage);
        case dom::element_type::STRING: return json::value(std::string_view(element), storage);
        case dom::element_type::BOOL: return json::value(bool(element), storage);
        case dom::element_type::NULL_VALUE: return json::value(nullptr, storage);
    }
    return json::value(nullptr, storage);
}

json::value built_members(const dom::object& from, std::span<const std::string_view> names,
                          const json::storage_ptr& storage) {
    json::object out(storage);
    for (const dom::key_value_pair field : from) {
        if (std::ranges::find(names, field.key) != names.end()) {
            out.insert_or_assign(field.key, built(field.value, storage));
        }
    }
    return out;
}

dom::parser& kept_parser() {
    thread_local dom::parser parser;
    return parser;
}

// Some versions of simdjson skip it. It is no JSON (RFC 8259 section 8.1), and whoever takes a text
// that was parsed for one of which the first byte opens a value would be wrong.
bool has_byte_order_mark(std::string_view text) { return text.starts_with("\xEF\xBB\xBF"); }

// False: let the other say what is wrong with it, or whether it is wrong.
bool parse_fast(dom::parser& parser, std::string_view text, dom::element& root) {
    if (has_byte_order_mark(text)) return false;
    // Room is made here and not on the way, which would forget the bound of depth.
    if (parser.capacity() < text.size() || parser.max_depth() != kJsonDepthMax) {
        if (parser.allocate(text.size(), kJsonDepthMax) != simdjson::SUCCESS) return false;
    }
    return parser.parse(text.data(), text.size()).get(root) == simdjson::SUCCESS;
}

}  // namespace

json::value parse_json(std::string_view text, boost::system::error_code& error,
                       json::storage_ptr storage) {
    error.clear();
    dom::element root;
    if (text.size() <= kKeptBytesMax) {
        if (parse_fast(kept_parser(), text, root)) return built(root, storage);
    } else if (text.size() <= kFastBytesMax) {
        dom::parser parser;
        if (parse_fast(parser, text, root)) return built(root, storage);
    }
    return json::parse(text, error, std::move(storage), options());
}

json::value parse_members(std::string_view text, std::span<const std::string_view> names,
                          boost::system::error_code& error, json::storage_ptr storage) {
    dom::element root;
    dom::object object;
    if (text.size() <= kKeptBytesMax && parse_fast(kept_parser(), text, root) &&
        root.get(object) == simdjson::SUCCESS) {
        error.clear();
        return built_members(object, names, storage);
    }
    return parse_json(text, error, std::move(storage));
}

std::size_t weight_of(const json::value& value) {
    std::size_t bytes = sizeof(json::value);
    if (value.is_string()) bytes += value.get_string().size();
    if (value.is_array()) {
        for (const json::value& item : value.get_array()) bytes += weight_of(item);
    }
    if (value.is_object()) bytes += weight_of(value.get_object());
    return bytes;
}

std::size_t weight_of(const json::object& value) {
    std::size_t bytes = sizeof(json::object);
    for (const auto& [key, item] : value) bytes += key.size() + weight_of(item);
    return bytes;
}

}  // namespace hearth::inference
