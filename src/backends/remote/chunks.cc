#include "backends/remote/chunks.h"

#include <algorithm>
#include <chrono>
#include <optional>

#include "base/format.h"

namespace hearth::remote {
namespace {

namespace json = boost::json;
using inference::Operation;
using inference::Usage;

// Signed, as a parser would have it: those who read events ask for that kind of number.
std::int64_t signed_count(std::uint64_t count) { return static_cast<std::int64_t>(count); }

void put(json::object& to, std::string_view name, const std::optional<std::uint64_t>& count) {
    if (count) to[name] = signed_count(*count);
}

void put_ms(json::object& to, std::string_view name,
            const std::optional<std::chrono::nanoseconds>& time) {
    if (time) to[name] = std::chrono::duration<double, std::milli>(*time).count();
}

json::object usage_object(const Usage& usage) {
    json::object out;
    put(out, "prompt_tokens", usage.prompt_tokens);
    put(out, "completion_tokens", usage.completion_tokens);
    if (usage.prompt_tokens && usage.completion_tokens) {
        out["total_tokens"] = signed_count(*usage.prompt_tokens + *usage.completion_tokens);
    }
    json::object prompt;
    put(prompt, "cached_tokens", usage.cached_tokens);
    put(prompt, "cache_write_tokens", usage.cache_write_tokens);
    if (!prompt.empty()) out["prompt_tokens_details"] = std::move(prompt);
    json::object completion;
    put(completion, "reasoning_tokens", usage.reasoning_tokens);
    if (!completion.empty()) out["completion_tokens_details"] = std::move(completion);
    return out;
}

// As llama-server tells them; where there are no times there is nothing to tell.
json::object timings_object(const Usage& usage) {
    json::object out;
    put_ms(out, "prompt_ms", usage.prompt_time);
    put_ms(out, "predicted_ms", usage.completion_time);
    if (out.empty()) return out;
    put(out, "cache_n", usage.cached_tokens);
    if (usage.prompt_tokens) {
        out["prompt_n"] = signed_count(
            *usage.prompt_tokens - std::min(*usage.prompt_tokens, usage.cached_tokens.value_or(0)));
    }
    put(out, "predicted_n", usage.completion_tokens);
    return out;
}

json::value nullable(std::string_view text) {
    return text.empty() ? json::value() : json::value(text);
}

json::value logprobs_value(json::array content) {
    if (content.empty()) return nullptr;
    return json::object{{"content", std::move(content)}};
}

}  // namespace

std::unexpected<Error> too_many_calls() {
    return fail(Code::BadUpstream,
                format("the upstream's answer has more than {} tool calls", kToolCallsMax));
}

Chunks::Chunks(Operation operation, Stamp stamp)
    : operation_(operation), stamp_(std::move(stamp)) {}

bool Chunks::is_native() const {
    return operation_ == Operation::Native || operation_ == Operation::Infill;
}

void Chunks::begin() {
    if (std::exchange(begun_, true) || operation_ != Operation::Chat) return;
    push_delta({{"role", "assistant"}, {"content", nullptr}}, nullptr, {});
}

void Chunks::text(std::string_view text, json::array logprobs) {
    if (text.empty() && logprobs.empty()) return;
    begin();
    if (is_native()) {
        push_native(text, std::move(logprobs));
    } else if (operation_ == Operation::Chat) {
        push_delta({{"content", text}}, logprobs_value(std::move(logprobs)), {});
    } else {
        push_text(text, logprobs_value(std::move(logprobs)), {});
    }
}

void Chunks::reasoning(std::string_view text) {
    if (text.empty() || operation_ != Operation::Chat) return;
    begin();
    push_delta({{"reasoning_content", text}}, nullptr, {});
}

void Chunks::reasoning_signature(std::string_view signature) {
    if (signature.empty() || operation_ != Operation::Chat) return;
    begin();
    push_delta({{"reasoning_signature", signature}}, nullptr, {});
}

void Chunks::call(std::size_t index, std::string_view id, std::string_view name,
                  std::string_view arguments) {
    begin();
    json::array calls;
    calls.push_back({{"index", signed_count(index)},
                     {"id", id},
                     {"type", "function"},
                     {"function", {{"name", name}, {"arguments", arguments}}}});
    push_delta({{"tool_calls", std::move(calls)}}, nullptr, {});
}

void Chunks::arguments(std::size_t index, std::string_view piece) {
    if (piece.empty()) return;
    json::array calls;
    calls.push_back({{"index", signed_count(index)}, {"function", {{"arguments", piece}}}});
    push_delta({{"tool_calls", std::move(calls)}}, nullptr, {});
}

void Chunks::end(std::string_view reason, const Usage& usage) {
    begin();
    if (is_native()) return push_native_end(reason, usage);
    if (operation_ == Operation::Chat) {
        push_delta({}, nullptr, reason);
    } else {
        push_text("", nullptr, reason);
    }
    push_usage(usage);
}

json::object Chunks::event() const {
    return {{"id", stamp_.id},
            {"object", operation_ == Operation::Chat ? "chat.completion.chunk" : "text_completion"},
            {"created", stamp_.created_unix}};
}

void Chunks::push(json::object choice) {
    json::object out = event();
    out["choices"] = json::array(1, json::value(std::move(choice)));
    events_.push_back(std::move(out));
}

void Chunks::push_delta(json::object delta, json::value logprobs, std::string_view reason) {
    json::object choice{
        {"index", 0}, {"delta", std::move(delta)}, {"finish_reason", nullable(reason)}};
    if (!logprobs.is_null()) choice["logprobs"] = std::move(logprobs);
    push(std::move(choice));
}

void Chunks::push_text(std::string_view text, json::value logprobs, std::string_view reason) {
    push({{"index", 0},
          {"text", text},
          {"logprobs", std::move(logprobs)},
          {"finish_reason", nullable(reason)}});
}

void Chunks::push_native(std::string_view text, json::array probabilities) {
    json::object out{{"index", 0}, {"content", text}, {"tokens", json::array()}, {"stop", false}};
    if (!probabilities.empty()) out["completion_probabilities"] = std::move(probabilities);
    events_.push_back(std::move(out));
}

void Chunks::push_native_end(std::string_view reason, const Usage& usage) {
    json::object out{{"index", 0},
                     {"content", ""},
                     {"tokens", json::array()},
                     {"stop", true},
                     {"stop_type", reason == "length" ? "limit" : "eos"},
                     {"stopping_word", ""}};
    put(out, "tokens_evaluated", usage.prompt_tokens);
    put(out, "tokens_predicted", usage.completion_tokens);
    if (json::object timings = timings_object(usage); !timings.empty()) {
        out["timings"] = std::move(timings);
    }
    events_.push_back(std::move(out));
}

void Chunks::push_usage(const Usage& usage) {
    json::object counted = usage_object(usage);
    if (counted.empty()) return;
    json::object out = event();
    out["choices"] = json::array();
    out["usage"] = std::move(counted);
    if (json::object timings = timings_object(usage); !timings.empty()) {
        out["timings"] = std::move(timings);
    }
    events_.push_back(std::move(out));
}

}  // namespace hearth::remote
