#include "api/responses_tools.h"

#include <algorithm>
#include <boost/json.hpp>
#include <string>
#include <string_view>
#include <utility>

#include "api/json_body.h"
#include "base/format.h"

namespace hearth::api::responses {
namespace {

namespace json = boost::json;

constexpr std::size_t kTypeShownMax = 40;

Error foreign(const std::string& where, std::string_view type) {
    return {
        .code = Code::Unsupported,
        .message = format("{} has the type \"{}\"; this server runs no tools itself: functions, "
                          "which the caller runs, are served",
                          where, type.substr(0, kTypeShownMax)),
        .param = where};
}

std::string name_in_chat(const json::value& tool) {
    return text_of(tool.at("function").get_object(), "name");
}

Result<json::object> chat_tool(const json::value& tool, const std::string& where) {
    if (!tool.is_object()) return fail(must_be(where, "an object"));
    const json::object& given = tool.get_object();
    const std::string type = text_of(given, "type");
    if (type.empty()) return fail(must_be(where + ".type", "\"function\""));
    if (type != "function") return fail(foreign(where, type));
    if (text_of(given, "name").empty()) return fail(must_be(where + ".name", "a string"));
    const json::value* parameters = find(given, "parameters");
    if (parameters != nullptr && !parameters->is_object()) {
        return fail(must_be(where + ".parameters", "a JSON schema"));
    }
    json::object function;
    for (const char* member : {"name", "description", "parameters", "strict"}) {
        if (const json::value* value = find(given, member)) function[member] = *value;
    }
    return json::object{{"type", "function"}, {"function", std::move(function)}};
}

// With all members that one of an answer has.
json::value repeated(const json::value& tool) {
    json::object out = tool.get_object();
    for (const char* member : {"description", "parameters", "strict"}) {
        if (!out.contains(member)) out[member] = nullptr;
    }
    return out;
}

// The only ones the engine is told of.
Result<void> keep_allowed(const json::object& choice, json::object& body) {
    const std::string mode = text_of(choice, "mode");
    if (mode != "auto" && mode != "required") {
        return fail(must_be("tool_choice.mode", R"("auto" or "required")"));
    }
    const json::value* allowed = find(choice, "tools");
    if (allowed == nullptr || !allowed->is_array() || allowed->get_array().empty()) {
        return fail(must_be("tool_choice.tools", "a list of at least one of the tools"));
    }
    const json::value* tools = find(body, "tools");
    json::array kept;
    for (std::size_t i = 0; i < allowed->get_array().size(); ++i) {
        const json::value& one = allowed->get_array()[i];
        const std::string name = one.is_object() ? text_of(one.get_object(), "name") : "";
        const auto is_named = [&](const json::value& tool) { return name_in_chat(tool) == name; };
        const json::value* found = nullptr;
        if (tools != nullptr && !name.empty()) {
            const auto at = std::ranges::find_if(tools->get_array(), is_named);
            if (at != tools->get_array().end()) found = at;
        }
        if (found == nullptr) {
            return fail(
                must_be(format("tool_choice.tools[{}]", i), "the name of one of the tools"));
        }
        kept.push_back(*found);
    }
    body["tools"] = std::move(kept);
    body["tool_choice"] = mode;
    return {};
}

Result<void> take_choice(json::object& body) {
    const json::value* given = find(body, "tool_choice");
    if (given == nullptr || !given->is_object()) return {};  // the chat checks words
    const json::object choice = given->get_object();
    const std::string type = text_of(choice, "type");
    if (type == "allowed_tools") return keep_allowed(choice, body);
    if (!type.empty() && type != "function") return fail(foreign("tool_choice", type));
    const std::string name = text_of(choice, "name");
    if (name.empty()) return fail(must_be("tool_choice.name", "the name of one of the tools"));
    body["tool_choice"] = {{"type", "function"}, {"function", {{"name", name}}}};
    return {};
}

}  // namespace

Result<void> take_tools(json::object& body, json::object& asked) {
    asked["tools"] = json::array();
    const json::value* choice = find(body, "tool_choice");
    asked["tool_choice"] = choice != nullptr ? *choice : json::value("auto");
    if (const json::value* given = find(body, "tools")) {
        if (!given->is_array()) return fail(must_be("tools", "a list of tools"));
        json::array tools;
        json::array said;
        for (std::size_t i = 0; i < given->get_array().size(); ++i) {
            const json::value& tool = given->get_array()[i];
            TRY(json::object translated, chat_tool(tool, format("tools[{}]", i)));
            tools.push_back(std::move(translated));
            said.push_back(repeated(tool));
        }
        body["tools"] = std::move(tools);
        asked["tools"] = std::move(said);
    }
    return take_choice(body);
}

}  // namespace hearth::api::responses
