#include "cli/json_fields.h"

#include <boost/json.hpp>

namespace hearth::cli {
namespace json = boost::json;

std::string_view text_at(const json::object& object, std::string_view key) {
    const json::value* found = object.if_contains(key);
    const json::string* text = found != nullptr ? found->if_string() : nullptr;
    return text != nullptr ? std::string_view(*text) : std::string_view();
}

std::uint64_t number_at(const json::object& object, std::string_view key) {
    const json::value* found = object.if_contains(key);
    if (found == nullptr) return 0;
    if (found->is_uint64()) return found->get_uint64();
    const bool sound = found->is_int64() && found->get_int64() > 0;
    return sound ? static_cast<std::uint64_t>(found->get_int64()) : 0;
}

bool flag_at(const json::object& object, std::string_view key) {
    const json::value* found = object.if_contains(key);
    return found != nullptr && found->is_bool() && found->get_bool();
}

const json::object& object_at(const json::object& object, std::string_view key) {
    static const json::object none;
    const json::value* found = object.if_contains(key);
    return found != nullptr && found->is_object() ? found->get_object() : none;
}

const json::array& list_at(const json::object& object, std::string_view key) {
    static const json::array none;
    const json::value* found = object.if_contains(key);
    return found != nullptr && found->is_array() ? found->get_array() : none;
}

}  // namespace hearth::cli
