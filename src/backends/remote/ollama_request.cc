#include "backends/remote/ollama_request.h"

#include <array>
#include <boost/json.hpp>
#include <utility>

#include "backends/remote/members.h"
#include "backends/remote/ollama_messages.h"
#include "backends/remote/wire_json.h"
#include "base/format.h"

namespace hearth::remote {
namespace {

namespace json = boost::json;
using inference::GenerateRequest;
using inference::Operation;

struct OllamaOption {
    std::string_view name;    // ours
    std::string_view option;  // Ollama's
};
constexpr std::array kOllamaOptions = {
    OllamaOption{"temperature", "temperature"},
    OllamaOption{"top_k", "top_k"},
    OllamaOption{"top_p", "top_p"},
    OllamaOption{"min_p", "min_p"},
    OllamaOption{"typical_p", "typical_p"},
    OllamaOption{"repeat_penalty", "repeat_penalty"},
    OllamaOption{"repeat_last_n", "repeat_last_n"},
    OllamaOption{"presence_penalty", "presence_penalty"},
    OllamaOption{"frequency_penalty", "frequency_penalty"},
    OllamaOption{"seed", "seed"},
    OllamaOption{"n_keep", "num_keep"},
};
constexpr std::array<std::string_view, 31> kOllamaCarried = {
    "temperature", "top_k", "top_p", "min_p", "typical_p", "repeat_penalty", "repeat_last_n",
    "presence_penalty", "frequency_penalty", "seed", "n_keep",
    // Translated one by one.
    "stop", "max_tokens", "max_completion_tokens", "n_predict", "messages", "prompt",
    "input_prefix", "input_suffix", "input_extra", "tools", "tool_choice", "response_format",
    // Obeyed where the answer is read.
    "parallel_tool_calls", "json_schema", "reasoning_effort", "chat_template_kwargs", "logprobs",
    "top_logprobs", "n_probs",
    // It thinks, or not: how long it may is not asked.
    "thinking_budget_tokens"};

json::object ollama_options(const GenerateRequest& request) {
    json::object options;
    for (const OllamaOption& option : kOllamaOptions) {
        if (const json::value* value = find(request.body, option.name)) {
            options[option.option] = *value;
        }
    }
    if (const auto limit = tokens_limit(request.body)) options["num_predict"] = *limit;
    if (json::array stop = stop_words(request.body); !stop.empty()) {
        options["stop"] = std::move(stop);
    }
    if (request.context_min > 0) options["num_ctx"] = request.context_min;
    return options;
}

Result<void> set_think(const json::object& from, json::object& body) {
    TRY(const std::string effort, reasoning_effort(from, kOllamaKind));
    if (effort.empty()) return {};
    if (effort == "on" || effort == "none") {
        body["think"] = effort == "on";
    } else if (effort == "minimal") {
        body["think"] = "low";
    } else {
        body["think"] = effort == "xhigh" ? "high" : effort;
    }
    return {};
}

Result<void> set_format(const json::object& from, json::object& body) {
    TRY(const AnswerForm form, answer_form(from));
    if (form.schema != nullptr) {
        body["format"] = *form.schema;
    } else if (form.any_object) {
        body["format"] = "json";
    }
    return {};
}

// There is no tool_choice: what is left is to have tools, or none.
Result<void> set_tools(const json::object& from, json::object& body) {
    const json::value* choice = find(from, "tool_choice");
    const std::string_view word = text_at(from, "tool_choice");
    if (choice != nullptr && word != "auto" && word != "none") {
        return cannot(kOllamaKind, "tool_choice", "be made to call a tool",
                      "\"auto\" and \"none\" go");
    }
    const json::array* tools = list_at(from, "tools");
    if (tools != nullptr && !tools->empty() && word != "none") body["tools"] = *tools;
    return {};
}

void set_logprobs(const json::object& from, json::object& body) {
    if (flag_at(from, "logprobs")) {
        body["logprobs"] = true;
        body["top_logprobs"] = count_at(from, "top_logprobs").value_or(0);
    }
    if (const auto count = wanted_probabilities(from)) {
        body["logprobs"] = true;
        body["top_logprobs"] = *count;
    }
}

Result<void> set_chat(const json::object& from, json::object& body) {
    const json::array* messages = list_at(from, "messages");
    if (messages == nullptr || messages->empty()) {
        return must_be("messages", "a list of at least one message");
    }
    TRY(body["messages"], ollama_messages(*messages));
    TRY_VOID(set_tools(from, body));
    return set_think(from, body);
}

Result<void> set_prompt(const GenerateRequest& request, json::object& body) {
    if (request.operation == Operation::Infill) {
        TRY(const Gap gap, read_gap(request.body, kOllamaKind));
        body["prompt"] = gap.before;
        body["suffix"] = gap.after;
        return {};
    }
    TRY(body["prompt"], text_prompt(request.body, kOllamaKind));
    body["raw"] = true;
    return {};
}

}  // namespace

json::value ollama_keep_alive(std::chrono::milliseconds time) {
    if (time.count() < 0) return -1;
    if (time.count() == 0) return 0;
    return json::value(format("{}ms", time.count()));
}

Result<json::object> ollama_body(const GenerateRequest& request, std::string_view model) {
    TRY_VOID(refuse_others(request.body, kOllamaKind, kOllamaCarried));
    json::object body{{"model", model}};
    if (request.operation == Operation::Chat) {
        TRY_VOID(set_chat(request.body, body));
    } else {
        TRY_VOID(set_prompt(request, body));
    }
    TRY_VOID(set_format(request.body, body));
    set_logprobs(request.body, body);
    if (json::object options = ollama_options(request); !options.empty()) {
        body["options"] = std::move(options);
    }
    if (request.keep_alive) body["keep_alive"] = ollama_keep_alive(*request.keep_alive);
    body["truncate"] = false;
    body["shift"] = false;
    body["stream"] = true;
    return body;
}

}  // namespace hearth::remote
