#include "api/anthropic_generate.h"

#include <algorithm>
#include <array>
#include <boost/json.hpp>
#include <utility>

#include "api/anthropic_messages.h"
#include "api/json_body.h"
#include "base/format.h"

namespace hearth::api::anthropic {
namespace {

namespace json = boost::json;
using inference::GenerateRequest;

constexpr double kWholeMax = 2147483647;
constexpr std::size_t kStopsMax = 64;
constexpr std::size_t kToolsMax = 1024;

constexpr std::array kMembers = {
    Member{"model", Kind::Text},
    Member{"stream", Kind::Flag},
    Member{"max_tokens", Kind::Whole, 1, kWholeMax},
    Member{"temperature", Kind::Number, 0, 1},
    Member{"top_p", Kind::Number, 0, 1},
    Member{"top_k", Kind::Whole, 0, kWholeMax},
    Member{"stop_sequences", Kind::List},
    Member{"tools", Kind::List},
    Member{"tool_choice", Kind::Object},
    Member{"thinking", Kind::Object},
    Member{"metadata", Kind::Object},
    Member{"output_config", Kind::Object},
    Member{"output_format", Kind::Object},
    Member{"mcp_servers", Kind::List},
    // Not of this dialect, but its clients can add them, and engines here know them.
    Member{"seed", Kind::Whole},
    Member{"min_p", Kind::Number, 0, 1},
    Member{"repeat_penalty", Kind::Number, 0, 100},
    Member{"presence_penalty", Kind::Number, -10, 10},
    Member{"frequency_penalty", Kind::Number, -10, 10},
    Member{"chat_template_kwargs", Kind::Object},
};

// Of these, what goes on under the same name.
constexpr std::array<std::string_view, 10> kKept = {
    "max_tokens",
    "temperature",
    "top_p",
    "top_k",
    "seed",
    "min_p",
    "repeat_penalty",
    "presence_penalty",
    "frequency_penalty",
    "chat_template_kwargs",
};

// What only Anthropic's servers do is refused by who is none of them.
void reserve(Error error, GenerateRequest& request) {
    if (request.untranslatable != nullptr) return;
    request.untranslatable = std::make_shared<const Error>(std::move(error));
}

std::unexpected<Error> refuse_unsupported(std::string param, std::string message) {
    return fail(
        {.code = Code::Unsupported, .message = std::move(message), .param = std::move(param)});
}

Result<void> read_stops(const json::object& body, MessagesCall& call) {
    const json::value* stops = find(body, "stop_sequences");
    if (stops == nullptr || stops->get_array().empty()) return {};
    const json::array& list = stops->get_array();
    bool sound = list.size() <= kStopsMax;
    for (const json::value& stop : list) {
        sound = sound && stop.is_string() && !stop.get_string().empty();
        if (sound) call.stops.emplace_back(stop.get_string());
    }
    if (!sound) {
        return fail(must_be("stop_sequences",
                            format("a list of at most {} strings, none of them empty", kStopsMax)));
    }
    call.request.body["stop"] = list;
    // With this an engine tells which of them it met.
    call.request.body["verbose"] = true;
    return {};
}

Result<json::object> translate_tool(const json::value& value, const std::string& where) {
    const json::object* tool = value.if_object();
    if (tool == nullptr) return fail(must_be(where, "an object"));
    const std::string type = text_of(*tool, "type");
    if (!type.empty() && type != "custom") {
        return refuse_unsupported(
            where + ".type",
            format("{}.type names a tool that Anthropic defines (\"{}\"), which no model here "
                   "knows; define one of your own with a name, a description and an input_schema",
                   where, type.substr(0, 60)));
    }
    const std::string name = text_of(*tool, "name");
    if (name.empty()) return fail(must_be(where + ".name", "a string that is not empty"));
    const json::value* description = find(*tool, "description");
    if (description != nullptr && !description->is_string()) {
        return fail(must_be(where + ".description", "a string"));
    }
    const json::value* schema = find(*tool, "input_schema");
    if (schema == nullptr || !schema->is_object()) {
        return fail(must_be(where + ".input_schema", "an object, a JSON schema"));
    }
    json::object function{{"name", name}, {"parameters", *schema}};
    if (description != nullptr) function["description"] = *description;
    return json::object{{"type", "function"}, {"function", std::move(function)}};
}

// Engines know no choice of one tool: it is the only one they are told of.
Result<void> choose_only(json::object& to, const json::object& choice) {
    const std::string name = text_of(choice, "name");
    if (json::value* tools = to.if_contains("tools")) {
        for (json::value& tool : tools->get_array()) {
            if (tool.at("function").at("name") != json::value(name)) continue;
            json::value chosen = std::move(tool);
            to["tools"] = json::array(1, chosen);
            to["tool_choice"] = "required";
            return {};
        }
    }
    return fail(must_be("tool_choice.name", "the name of one of the tools"));
}

Result<void> read_tool_choice(const json::object& body, GenerateRequest& request) {
    json::object& to = request.body;
    const json::value* found = find(body, "tool_choice");
    if (found == nullptr) return {};
    const json::object& choice = found->get_object();
    const json::value* single = find(choice, "disable_parallel_tool_use");
    if (single != nullptr && !single->is_bool()) {
        return fail(must_be("tool_choice.disable_parallel_tool_use", "true or false"));
    }
    if (single != nullptr && single->get_bool()) to["parallel_tool_calls"] = false;
    const std::string type = text_of(choice, "type");
    // It may be one of those that were left out.
    if (type == "tool" && request.untranslatable != nullptr) return {};
    if (type == "tool") return choose_only(to, choice);
    if (type == "any" && !to.contains("tools")) {
        return fail(must_be("tool_choice.type", R"("auto" or "none" where there are no tools)"));
    }
    if (type != "auto" && type != "any" && type != "none") {
        return fail(must_be("tool_choice.type", R"("auto", "any", "tool" or "none")"));
    }
    to["tool_choice"] = type == "any" ? "required" : type;
    return {};
}

// One that has no translation is left out.
Result<json::array> translate_tools(const json::array& list, GenerateRequest& request) {
    json::array translated;
    for (std::size_t i = 0; i < list.size(); ++i) {
        auto tool = translate_tool(list[i], format("tools[{}]", i));
        if (tool) {
            translated.push_back(*std::move(tool));
        } else if (tool.error().code == Code::Unsupported) {
            reserve(std::move(tool).error(), request);
        } else {
            return fail(std::move(tool).error());
        }
    }
    return translated;
}

Result<void> read_tools(const json::object& body, GenerateRequest& request) {
    const json::value* servers = find(body, "mcp_servers");
    if (servers != nullptr && !servers->get_array().empty()) {
        reserve({.code = Code::Unsupported,
                 .message = "mcp_servers names servers of tools; none is called from here: "
                            "connect to them yourself and pass on their tools",
                 .param = "mcp_servers"},
                request);
    }
    const json::value* tools = find(body, "tools");
    if (tools != nullptr && !tools->get_array().empty()) {
        const json::array& list = tools->get_array();
        if (list.size() > kToolsMax) {
            return fail(must_be("tools", format("a list of at most {} tools", kToolsMax)));
        }
        TRY(request.body["tools"], translate_tools(list, request));
    }
    return read_tool_choice(body, request);
}

void set_template_option(json::object& to, std::string_view name, bool value) {
    json::value& options = to["chat_template_kwargs"];
    if (!options.is_object()) options = json::object();
    options.get_object()[name] = value;
}

// Where nothing is said of it, a model thinks as its template has it.
Result<void> read_thinking(const json::object& body, MessagesCall& call) {
    const json::value* found = find(body, "thinking");
    if (found == nullptr) return {};
    const json::object& thinking = found->get_object();
    const std::string type = text_of(thinking, "type");
    json::object& to = call.request.body;
    constexpr std::array<std::string_view, 4> kTypes = {"enabled", "adaptive", "between_tools",
                                                        "disabled"};
    if (std::ranges::find(kTypes, type) == kTypes.end()) {
        return fail(
            must_be("thinking.type", R"("enabled", "adaptive", "between_tools" or "disabled")"));
    }
    const bool thinks = type != "disabled";
    set_template_option(to, "enable_thinking", thinks);
    if (!thinks) to["reasoning_effort"] = "none";
    const std::string display = text_of(thinking, "display");
    if (!display.empty() && display != "summarized" && display != "omitted") {
        return fail(must_be("thinking.display", R"("summarized" or "omitted")"));
    }
    call.hides_thinking = display == "omitted";
    if (type != "enabled") return {};
    constexpr std::array kBudget = {Member{"budget_tokens", Kind::Whole, 1, kWholeMax}};
    const bool sound =
        find(thinking, "budget_tokens") != nullptr && check_members(thinking, kBudget);
    if (!sound) {
        return fail(must_be("thinking.budget_tokens", "a whole number of at least 1"));
    }
    to["thinking_budget_tokens"] = thinking.at("budget_tokens").to_number<std::int64_t>();
    return {};
}

Result<void> read_format(const json::object& format_of_answer, const std::string& where,
                         json::object& to) {
    const json::value* schema = find(format_of_answer, "schema");
    if (text_of(format_of_answer, "type") != "json_schema") {
        return fail(must_be(where + ".type", "\"json_schema\""));
    }
    if (schema == nullptr || !schema->is_object()) {
        return fail(must_be(where + ".schema", "an object, a JSON schema"));
    }
    to["response_format"] = {{"type", "json_schema"},
                             {"json_schema", {{"name", "answer"}, {"schema", *schema}}}};
    return {};
}

Result<void> read_output(const json::object& body, json::object& to) {
    if (const json::value* old = find(body, "output_format")) {
        TRY_VOID(read_format(old->get_object(), "output_format", to));
    }
    const json::value* found = find(body, "output_config");
    if (found == nullptr) return {};
    const json::object& config = found->get_object();
    constexpr std::array<std::string_view, 5> kEfforts = {"low", "medium", "high", "xhigh", "max"};
    const json::value* level = find(config, "effort");
    const std::string effort = text_of(config, "effort");
    if (level != nullptr && std::ranges::find(kEfforts, effort) == kEfforts.end()) {
        return fail(
            must_be("output_config.effort", R"("low", "medium", "high", "xhigh" or "max")"));
    }
    if (!effort.empty() && !to.contains("reasoning_effort")) to["reasoning_effort"] = effort;
    const json::value* wanted = find(config, "format");
    if (wanted == nullptr) return {};
    if (!wanted->is_object()) return fail(must_be("output_config.format", "an object"));
    return read_format(wanted->get_object(), "output_config.format", to);
}

Result<MessagesCall> parse(std::string_view text, bool counts_only) {
    TRY(const json::object body, read_object(text));
    TRY_VOID(check_members(body, kMembers));
    if (!counts_only && find(body, "max_tokens") == nullptr) {
        return fail(must_be("max_tokens", "a whole number of at least 1, and is required"));
    }
    MessagesCall call;
    json::object& to = call.request.body;
    call.request.model = text_of(body, "model");
    call.stream = flag_at(body, "stream");
    for (const std::string_view name : kKept) {
        if (const json::value* value = find(body, name)) to[name] = *value;
    }
    TRY(Conversation conversation, translate_conversation(body));
    to["messages"] = std::move(conversation.messages);
    call.wants_images = conversation.has_images;
    call.has_own_thinking = conversation.has_own_thinking;
    if (conversation.untranslatable) reserve(*conversation.untranslatable, call.request);
    TRY_VOID(read_stops(body, call));
    TRY_VOID(read_tools(body, call.request));
    // What is only counted goes to nobody as it is.
    if (counts_only) TRY_VOID(check_translatable(call.request));
    TRY_VOID(read_thinking(body, call));
    TRY_VOID(read_output(body, to));
    // The first thing a stream says is how long the prompt is.
    if (call.stream) to["return_progress"] = true;
    return call;
}

}  // namespace

Result<MessagesCall> parse_messages(std::string_view body) { return parse(body, false); }

Result<MessagesCall> parse_count_tokens(std::string_view body) { return parse(body, true); }

Result<void> check_capabilities(const MessagesCall& call, const models::Model& model) {
    const bool sees = std::ranges::find(model.capabilities, "vision") != model.capabilities.end();
    if (!call.wants_images || sees) return {};
    return fail({.code = Code::InvalidArgument,
                 .message = format("{} does not support images", model.name),
                 .param = "model"});
}

}  // namespace hearth::api::anthropic
