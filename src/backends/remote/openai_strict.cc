#include "backends/remote/openai_strict.h"

#include <algorithm>
#include <array>
#include <boost/json.hpp>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "backends/remote/members.h"
#include "backends/remote/wire_json.h"

namespace hearth::remote {
namespace {

namespace json = boost::json;

constexpr std::string_view kStrictKind = "OpenAI";

// Source: openai/openai-openapi, August 2026: CreateChatCompletionRequest, CreateCompletionRequest.
constexpr std::array<std::string_view, 40> kChatMembers = {
    "audio", "frequency_penalty", "function_call", "functions", "logit_bias", "logprobs",
    "max_completion_tokens", "messages", "metadata", "modalities", "model", "moderation", "n",
    "parallel_tool_calls", "prediction", "presence_penalty", "prompt_cache_key",
    "prompt_cache_options", "prompt_cache_retention", "reasoning_effort", "response_format",
    "safety_identifier", "seed", "service_tier", "stop", "store", "stream", "stream_options",
    "temperature", "tool_choice", "tools", "top_logprobs", "top_p", "user", "verbosity",
    "web_search_options",
    // Ours, which have been told in other words.
    "chat_template_kwargs", "thinking_budget_tokens", "max_tokens", "n_predict"};
constexpr std::array<std::string_view, 18> kCompletionMembers = {
    "best_of", "echo",   "frequency_penalty", "logit_bias", "logprobs",    "max_tokens",
    "model",   "n",      "presence_penalty",  "prompt",     "seed",        "stop",
    "stream",  "suffix", "stream_options",    "top_p",      "temperature", "user"};

void erase_others(json::object& body, std::span<const std::string_view> known) {
    std::vector<std::string> others;
    for (const auto& [name, value] : body) {
        if (std::ranges::find(known, std::string_view(name)) == known.end()) {
            others.emplace_back(name);
        }
    }
    for (const std::string& name : others) body.erase(name);
}

// A model that thinks does so by itself, and one that does not knows no word for it: of the wish
// alone nothing is said.
Result<void> set_effort(json::object& body) {
    const bool was_told = !text_at(body, "reasoning_effort").empty();
    TRY(const std::string effort, reasoning_effort(body, kStrictKind));
    if (was_told && effort != "on") body["reasoning_effort"] = effort == "max" ? "xhigh" : effort;
    return {};
}

void strip_messages(json::object& body) {
    json::value* messages = body.if_contains("messages");
    if (messages == nullptr || !messages->is_array()) return;
    for (json::value& message : messages->get_array()) {
        if (!message.is_object()) continue;
        for (const char* name : {"reasoning_content", "reasoning_signature"}) {
            message.get_object().erase(name);
        }
    }
}

}  // namespace

Result<void> make_strict(json::object& body, bool is_chat) {
    const std::span<const std::string_view> known =
        is_chat ? std::span<const std::string_view>(kChatMembers) : kCompletionMembers;
    TRY_VOID(refuse_others(body, kStrictKind, known));
    erase_others(body, known);
    if (!is_chat) return {};
    TRY_VOID(set_effort(body));
    const auto limit = tokens_limit(body);
    erase_tokens_limit(body);
    if (limit) body["max_completion_tokens"] = *limit;
    for (const char* name : {"chat_template_kwargs", "thinking_budget_tokens"}) {
        body.erase(name);
    }
    strip_messages(body);
    return {};
}

}  // namespace hearth::remote
