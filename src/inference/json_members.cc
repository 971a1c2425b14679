#include "inference/json_members.h"

namespace hearth::inference {

namespace json = boost::json;

const json::value* find(const json::object& from, std::string_view name) {
    const json::value* value = from.if_contains(name);
    return value != nullptr && !value->is_null() ? value : nullptr;
}

const json::object* object_at(const json::object& from, std::string_view name) {
    const json::value* value = from.if_contains(name);
    return value != nullptr ? value->if_object() : nullptr;
}

const json::array* list_at(const json::object& from, std::string_view name) {
    const json::value* value = from.if_contains(name);
    return value != nullptr ? value->if_array() : nullptr;
}

std::string_view text_at(const json::object& from, std::string_view name) {
    const json::value* value = from.if_contains(name);
    return value != nullptr && value->is_string() ? std::string_view(value->get_string())
                                                  : std::string_view();
}

bool flag_at(const json::object& from, std::string_view name, bool otherwise) {
    const json::value* value = from.if_contains(name);
    return value != nullptr && value->is_bool() ? value->get_bool() : otherwise;
}

std::optional<std::uint64_t> count_at(const json::object& from, std::string_view name) {
    constexpr double kCountMax = 1e15;
    const json::value* value = from.if_contains(name);
    if (value == nullptr || !value->is_number()) return std::nullopt;
    const auto number = value->to_number<double>();
    if (!(number >= 0 && number <= kCountMax)) return std::nullopt;
    return static_cast<std::uint64_t>(number);
}

}  // namespace hearth::inference
