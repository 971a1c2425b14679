#include "api/bare_text.h"

#include <boost/json.hpp>
#include <utility>

#include "api/json_body.h"
#include "base/format.h"

namespace hearth::api {
namespace {

namespace json = boost::json;

// Null: any answer will do.
Result<json::value> schema_of(const json::object& format) {
    const std::string type = text_of(format, "type");
    if (type.empty() || type == "text") return json::value();
    if (type != "json_object" && type != "json_schema") {
        return fail(
            must_be("response_format.type", "\"text\", \"json_object\" or \"json_schema\""));
    }
    const json::value* named = find(format, "json_schema");
    const json::value* schema =
        named != nullptr && named->is_object() ? find(named->get_object(), "schema") : nullptr;
    if (schema == nullptr) schema = find(format, "schema");
    if (schema != nullptr && schema->is_object()) return *schema;
    if (type == "json_schema") {
        return fail(must_be("response_format.json_schema.schema", "a JSON schema"));
    }
    return json::value{{"type", "object"}};
}

}  // namespace

Result<void> refuse_tools(const json::object& body, std::string_view chat) {
    for (const char* name : {"tools", "functions"}) {
        const json::value* tools = find(body, name);
        if (tools == nullptr || (tools->is_array() && tools->get_array().empty())) continue;
        return fail({.code = Code::InvalidArgument,
                     .message = format("{} belong to a conversation: send it to {}", name, chat),
                     .param = name});
    }
    return {};
}

Result<void> take_chat_words(json::object& body, std::string_view chat) {
    TRY_VOID(refuse_tools(body, chat));
    for (const char* name : {"tools", "functions"}) body.erase(name);
    const json::value* format = find(body, "response_format");
    if (format == nullptr) return {};
    if (!format->is_object()) return fail(must_be("response_format", "an object"));
    TRY(json::value schema, schema_of(format->get_object()));
    body.erase("response_format");
    if (!schema.is_null() && find(body, "json_schema") == nullptr) {
        body["json_schema"] = std::move(schema);
    }
    return {};
}

}  // namespace hearth::api
