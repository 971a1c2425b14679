#include "api/openai_functions.h"

#include <boost/json.hpp>
#include <string>
#include <utility>

#include "api/json_body.h"
#include "base/format.h"

namespace hearth::api::openai {
namespace {

namespace json = boost::json;

Result<json::array> tools_of(const json::array& functions) {
    json::array tools;
    for (std::size_t i = 0; i < functions.size(); ++i) {
        const bool sound =
            functions[i].is_object() && !text_of(functions[i].get_object(), "name").empty();
        if (!sound) return fail(must_be(format("functions[{}]", i), "a function with a name"));
        tools.push_back({{"type", "function"}, {"function", functions[i]}});
    }
    return tools;
}

Result<void> translate_choice(json::object& body) {
    const json::value* choice = find(body, "function_call");
    if (choice == nullptr) return {};
    if (choice->is_string()) {
        body["tool_choice"] = json::value(*choice);  // a copy: to insert may move what it points to
    } else if (choice->is_object() && !text_of(choice->get_object(), "name").empty()) {
        const std::string name = text_of(choice->get_object(), "name");
        body["tool_choice"] = {{"type", "function"}, {"function", {{"name", name}}}};
    } else {
        return fail(must_be("function_call", R"("none", "auto" or an object with a name)"));
    }
    body.erase("function_call");
    return {};
}

// Calls of this form have no ids: a result belongs to the call before it.
void translate_messages(json::array& messages) {
    std::size_t calls = 0;
    for (json::value& value : messages) {
        if (!value.is_object()) continue;
        json::object& message = value.get_object();
        const json::value* call = find(message, "function_call");
        if (call != nullptr && call->is_object() && find(message, "tool_calls") == nullptr) {
            json::object translated{
                {"id", format("call_{}", ++calls)}, {"type", "function"}, {"function", *call}};
            message["tool_calls"] = json::array(1, json::value(std::move(translated)));
            if (!message.contains("content")) message["content"] = nullptr;
        }
        message.erase("function_call");
        if (text_of(message, "role") != "function") continue;
        message["role"] = "tool";
        message["tool_call_id"] = format("call_{}", calls);
    }
}

}  // namespace

Result<bool> translate_functions(json::object& body) {
    json::value* messages = body.if_contains("messages");
    if (messages != nullptr && messages->is_array()) translate_messages(messages->get_array());
    const json::value* functions = find(body, "functions");
    if (functions == nullptr || find(body, "tools") != nullptr) {
        body.erase("functions");
        body.erase("function_call");
        return false;
    }
    TRY(body["tools"], tools_of(functions->get_array()));
    TRY_VOID(translate_choice(body));
    body.erase("functions");
    body["parallel_tool_calls"] = false;
    return true;
}

void restore_function_call(json::object& choice) {
    if (text_of(choice, "finish_reason") == "tool_calls") {
        choice["finish_reason"] = "function_call";
    }
    for (const char* part : {"delta", "message"}) {
        json::value* held = choice.if_contains(part);
        if (held == nullptr || !held->is_object()) continue;
        json::object& said = held->get_object();
        const json::value* calls = find(said, "tool_calls");
        if (calls == nullptr) continue;
        if (calls->is_array() && !calls->get_array().empty() &&
            calls->get_array().front().is_object()) {
            const json::value* function = find(calls->get_array().front().get_object(), "function");
            if (function != nullptr) said["function_call"] = json::value(*function);
        }
        said.erase("tool_calls");
    }
}

}  // namespace hearth::api::openai
