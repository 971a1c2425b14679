#include "backends/remote/anthropic_request.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <string>
#include <utility>

#include "backends/remote/members.h"
#include "backends/remote/wire_json.h"
#include "base/format.h"

namespace hearth::remote {
namespace {

namespace json = boost::json;
using inference::GenerateRequest;
using inference::Operation;

constexpr std::array<std::string_view, 16> kAnthropicCarried = {"messages",
                                                                "max_tokens",
                                                                "max_completion_tokens",
                                                                "n_predict",
                                                                "temperature",
                                                                "top_p",
                                                                "top_k",
                                                                "stop",
                                                                "tools",
                                                                "tool_choice",
                                                                "parallel_tool_calls",
                                                                "response_format",
                                                                "json_schema",
                                                                "reasoning_effort",
                                                                "thinking_budget_tokens",
                                                                "chat_template_kwargs"};

// Of thinking, in tokens; the API's least is 1,024.
struct Effort {
    std::string_view word;
    std::string_view level;  // of output_config.effort
    std::uint64_t budget;
};
constexpr std::uint64_t kBudgetMin = 1024;
constexpr std::array kEffortTable = {
    Effort{"minimal", "low", 1024}, Effort{"low", "low", 2048},
    Effort{"on", "medium", 8192},   Effort{"medium", "medium", 8192},
    Effort{"high", "high", 16384},  Effort{"xhigh", "xhigh", 32768},
    Effort{"max", "max", 32768},
};

// What a budget is to a model that knows words only; at most what it does when nothing is said.
std::string_view word_of_budget(std::uint64_t budget) {
    if (budget <= 2048) return "low";
    return budget <= 8192 ? "medium" : "high";
}

// "claude-opus-4-6" is 406, "claude-sonnet-5" 500; 0 for whatever has no such name. Dates are no
// versions, and the names up to 3.7 have the number before the family.
unsigned claude_version(std::string_view model) {
    constexpr std::string_view kBegin = "claude-";
    const std::size_t at = model.find(kBegin);
    if (at == std::string_view::npos) return 0;
    std::string_view rest = model.substr(at + kBegin.size());
    if (rest.empty() || (rest.front() >= '0' && rest.front() <= '9')) return 0;
    rest.remove_prefix(std::min(rest.find('-'), rest.size()));
    unsigned version = 0;
    for (const unsigned weight : {100U, 1U}) {
        if (!rest.starts_with('-')) break;
        rest.remove_prefix(1);
        unsigned number = 0;
        const auto end = std::from_chars(rest.data(), rest.data() + rest.size(), number);
        if (end.ec != std::errc{} || number > 99) break;
        version += number * weight;
        rest.remove_prefix(static_cast<std::size_t>(end.ptr - rest.data()));
    }
    return version;
}

constexpr unsigned kAdaptiveSince = 406;  // "adaptive" and effort instead of a budget
constexpr unsigned kSummarySince = 407;   // says nothing of its thinking unless asked; "xhigh"

void set_adaptive(const Effort& effort, unsigned version, json::object& body) {
    json::object thinking{{"type", "adaptive"}};
    if (version >= kSummarySince) thinking["display"] = "summarized";
    body["thinking"] = std::move(thinking);
    std::string_view level = effort.level;
    if (level == "xhigh" && version < kSummarySince) level = "max";
    body["output_config"] = {{"effort", level}};
}

bool forces_tool(const json::object& from) {
    const json::value* choice = find(from, "tool_choice");
    return choice != nullptr && (choice->is_object() || text_at(from, "tool_choice") == "required");
}

// `told`: by the caller, in tokens.
Result<void> set_budget(const Effort& effort, std::optional<std::uint64_t> told,
                        const json::object& from, json::object& body) {
    if (!may_think(body.at("messages").get_array())) return {};
    if (forces_tool(from)) {
        return cannot(kAnthropicKind, "tool_choice", "be made to call a tool while they think",
                      "ask for reasoning_effort \"none\", or leave the choice to the model");
    }
    const auto limit = tokens_limit(from);
    std::uint64_t budget = std::max(told.value_or(effort.budget), kBudgetMin);
    if (limit && *limit <= kBudgetMin) {
        return cannot(
            kAnthropicKind, "max_tokens", format("think with {} tokens in all", *limit),
            format("allow more than {}, or ask for reasoning_effort \"none\"", kBudgetMin));
    }
    // A caller's own budget leaves room for the answer as he wants it.
    const bool has_room = told && limit && budget < *limit;
    if (limit && !has_room) budget = std::clamp(*limit / 2, kBudgetMin, budget);
    body["thinking"] = {{"type", "enabled"}, {"budget_tokens", budget}};
    body["max_tokens"] = limit.value_or(kAnthropicTokens + budget);
    return {};
}

Result<void> set_thinking(const json::object& from, std::string_view model, json::object& body) {
    const auto limit = tokens_limit(from);
    body["max_tokens"] = limit.value_or(kAnthropicTokens);
    TRY(const std::string word, reasoning_effort(from, kAnthropicKind));
    if (word.empty()) return {};
    if (word == "none") {
        body["thinking"] = {{"type", "disabled"}};
        return {};
    }
    const auto told = count_at(from, "thinking_budget_tokens");
    const std::string_view said = word == "on" && told ? word_of_budget(*told) : word;
    const auto effort = std::ranges::find(kEffortTable, said, &Effort::word);
    CHECK(effort != kEffortTable.end());
    const unsigned version = claude_version(model);
    if (version < kAdaptiveSince) return set_budget(*effort, told, from, body);
    set_adaptive(*effort, version, body);
    if (!limit) body["max_tokens"] = kAnthropicTokens + effort->budget;
    return {};
}

Result<void> set_sampling(const json::object& from, json::object& body) {
    const json::value* temperature = find(from, "temperature");
    if (temperature != nullptr) {
        if (temperature->is_number() && temperature->to_number<double>() > 1) {
            return cannot(kAnthropicKind, "temperature", "take a temperature over 1", "0 to 1 go");
        }
        body["temperature"] = *temperature;
    }
    if (const json::value* top_p = find(from, "top_p")) body["top_p"] = *top_p;
    if (const auto top_k = count_at(from, "top_k"); top_k && *top_k > 0) body["top_k"] = *top_k;
    if (json::array stop = stop_words(from); !stop.empty())
        body["stop_sequences"] = std::move(stop);
    return {};
}

Result<json::object> translate_tool(const json::value& value, std::size_t index) {
    const json::object* function =
        value.is_object() ? object_at(value.get_object(), "function") : nullptr;
    if (function == nullptr) return must_be(format("tools[{}]", index), "a function with a name");
    json::object tool{{"name", text_at(*function, "name")}};
    if (const auto about = text_at(*function, "description"); !about.empty()) {
        tool["description"] = about;
    }
    const json::object* parameters = object_at(*function, "parameters");
    tool["input_schema"] = parameters != nullptr ? *parameters : json::object{{"type", "object"}};
    if (flag_at(*function, "strict")) tool["strict"] = true;
    return tool;
}

Result<json::object> tool_choice(const json::object& from) {
    const json::value* choice = find(from, "tool_choice");
    const bool one_at_a_time = !flag_at(from, "parallel_tool_calls", true);
    json::object out;
    const std::string_view word = text_at(from, "tool_choice");
    if (choice == nullptr || word == "auto") {
        if (choice != nullptr || one_at_a_time) out["type"] = "auto";
    } else if (word == "none") {
        return json::object{{"type", "none"}};
    } else if (word == "required") {
        out["type"] = "any";
    } else {
        const json::object* function =
            choice->is_object() ? object_at(choice->get_object(), "function") : nullptr;
        if (function == nullptr) return must_be("tool_choice", "a word, or the name of a function");
        out = {{"type", "tool"}, {"name", text_at(*function, "name")}};
    }
    if (one_at_a_time) out["disable_parallel_tool_use"] = true;
    return out;
}

Result<void> set_anthropic_tools(const json::object& from, json::object& body) {
    const json::array* tools = list_at(from, "tools");
    if (tools == nullptr || tools->empty()) return {};
    json::array out;
    for (std::size_t i = 0; i < tools->size(); ++i) {
        TRY(json::object tool, translate_tool((*tools)[i], i));
        out.push_back(std::move(tool));
    }
    body["tools"] = std::move(out);
    TRY(json::object choice, tool_choice(from));
    if (!choice.empty()) body["tool_choice"] = std::move(choice);
    return {};
}

Result<void> set_answer_form(const json::object& from, json::object& body) {
    TRY(const AnswerForm form, answer_form(from));
    if (form.any_object) {
        return cannot(kAnthropicKind, "response_format", "be held to JSON without a schema",
                      "name one with \"json_schema\"");
    }
    if (form.schema == nullptr) return {};
    json::object config;
    if (const json::object* has = object_at(body, "output_config")) config = *has;
    config["format"] = {{"type", "json_schema"}, {"schema", *form.schema}};
    body["output_config"] = std::move(config);
    return {};
}

}  // namespace

Result<json::object> anthropic_body(const GenerateRequest& request, std::string_view model) {
    if (request.operation != Operation::Chat) {
        return cannot(kAnthropicKind, {}, "complete a bare text", "send it as a chat");
    }
    const json::object& from = request.body;
    TRY_VOID(refuse_others(from, kAnthropicKind, kAnthropicCarried));
    const json::array* messages = list_at(from, "messages");
    if (messages == nullptr) return must_be("messages", "a list of at least one message");
    json::object body{{"model", model}};
    TRY_VOID(set_conversation(*messages, body));
    TRY_VOID(set_thinking(from, model, body));
    TRY_VOID(set_sampling(from, body));
    TRY_VOID(set_anthropic_tools(from, body));
    TRY_VOID(set_answer_form(from, body));
    body["stream"] = true;
    return body;
}

}  // namespace hearth::remote
