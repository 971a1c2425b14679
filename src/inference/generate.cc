#include "inference/generate.h"

#include <algorithm>
#include <boost/json/value.hpp>

#include "inference/json_members.h"

namespace hearth::inference {
namespace {

namespace json = boost::json;

std::optional<double> number_at(const json::object& from, std::string_view key) {
    const json::value* value = from.if_contains(key);
    if (value == nullptr || !value->is_number()) return std::nullopt;
    return value->to_number<double>();
}

void take_count(const json::object& from, std::string_view key, std::optional<std::uint64_t>& to) {
    const auto number = number_at(from, key);
    if (number && *number >= 0 && *number < 1e15) to = static_cast<std::uint64_t>(*number);
}

void take_ms(const json::object& from, std::string_view key,
             std::optional<std::chrono::nanoseconds>& to) {
    const auto number = number_at(from, key);
    if (number && *number >= 0 && *number < 1e12) {
        to = std::chrono::nanoseconds(static_cast<std::int64_t>(*number * 1e6));
    }
}

bool has_text(const json::object& from, std::string_view key) {
    return !text_at(from, key).empty();
}

bool choice_says_something(const json::object& choice) {
    if (has_text(choice, "text") || has_text(choice, "finish_reason")) return true;
    const json::object* delta = object_at(choice, "delta");
    if (delta == nullptr) return false;
    const json::value* calls = delta->if_contains("tool_calls");
    return (calls != nullptr && calls->is_array() && !calls->get_array().empty()) ||
           has_text(*delta, "content") || has_text(*delta, "reasoning_content") ||
           has_text(*delta, "refusal");
}

}  // namespace

const json::value* tokens_limit_of(const json::object& body) {
    for (const std::string_view name : kTokensLimits) {
        const json::value* limit = find(body, name);
        if (limit != nullptr && limit->is_number()) return limit;
    }
    return nullptr;
}

bool says_something(const json::object& event) {
    if (has_text(event, "content") || has_text(event, "stop_type")) return true;
    const json::value* choices = event.if_contains("choices");
    if (choices == nullptr || !choices->is_array()) return false;
    return std::ranges::any_of(choices->get_array(), [](const json::value& choice) {
        return choice.is_object() && choice_says_something(choice.get_object());
    });
}

Result<void> check_translatable(const GenerateRequest& request) {
    if (request.untranslatable == nullptr) return {};
    return fail(Error(*request.untranslatable));
}

Awaitable<Result<void>> Sink::relay(std::string_view, bool) {
    co_return fail(Code::Internal, "this answer is not taken in an upstream's own words");
}

void note_usage(const json::object& event, Usage& usage) {
    if (const auto* counted = object_at(event, "usage")) {
        take_count(*counted, "prompt_tokens", usage.prompt_tokens);
        take_count(*counted, "completion_tokens", usage.completion_tokens);
        if (const auto* details = object_at(*counted, "prompt_tokens_details")) {
            take_count(*details, "cached_tokens", usage.cached_tokens);
            take_count(*details, "cache_write_tokens", usage.cache_write_tokens);
        }
        if (const auto* details = object_at(*counted, "completion_tokens_details")) {
            take_count(*details, "reasoning_tokens", usage.reasoning_tokens);
        }
    }
    if (event.contains("stop_type")) {  // the last event of /completion and /infill
        take_count(event, "tokens_evaluated", usage.prompt_tokens);
        take_count(event, "tokens_predicted", usage.completion_tokens);
    }
    if (const auto* timings = object_at(event, "timings")) {
        take_count(*timings, "cache_n", usage.cached_tokens);
        take_ms(*timings, "prompt_ms", usage.prompt_time);
        take_ms(*timings, "predicted_ms", usage.completion_time);
    }
}

}  // namespace hearth::inference
