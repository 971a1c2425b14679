#include "fetch/json_text.h"

#include "base/format.h"
#include "fetch/outcome.h"

namespace hearth::fetch {
namespace json = boost::json;

Result<json::value> parse_json_text(std::string_view text, std::string_view what) {
    json::parse_options options;
    options.max_depth = 32;
    boost::system::error_code error;
    json::value value = json::parse(text, error, {}, options);
    if (error) {
        return failed(Failure::BadRegistry,
                      format("{} is not valid JSON: {}", what, error.message()));
    }
    return value;
}

std::string text_member(const json::value& value, std::string_view name) {
    const json::object* object = value.if_object();
    const json::value* member = object != nullptr ? object->if_contains(name) : nullptr;
    if (member == nullptr || !member->is_string()) return {};
    return std::string(member->get_string());
}

std::string error_message_in(std::string_view document) {
    const auto value = parse_json_text(document, "the answer");
    if (!value || !value->is_object()) return {};
    for (const std::string_view name : {"error", "message"}) {
        if (std::string text = text_member(*value, name); !text.empty()) return shown(text);
    }
    const json::value* errors = value->get_object().if_contains("errors");
    const json::array* list = errors != nullptr ? errors->if_array() : nullptr;
    if (list == nullptr || list->empty()) return {};
    return shown(text_member(list->front(), "message"));
}

}  // namespace hearth::fetch
