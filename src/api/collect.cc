#include "api/collect.h"

#include <utility>

#include "api/json_body.h"
#include "base/format.h"
#include "inference/json.h"

namespace hearth::api {
namespace {

namespace json = boost::json;
using inference::Operation;

// Of 2,048 prompts with 128 choices each, the most a dialect accepts.
constexpr std::int64_t kChoicesMax = 2048 * 128;

std::string_view view_of(const json::object& from, std::string_view key) {
    const json::value* value = from.if_contains(key);
    return value != nullptr && value->is_string() ? std::string_view(value->get_string())
                                                  : std::string_view{};
}

std::int64_t index_of(const json::object& from) {
    // What was parsed is signed; what a backend has made itself may be unsigned.
    boost::system::error_code wrong;
    const json::value* value = from.if_contains("index");
    if (value == nullptr) return 0;
    const auto index = value->to_number<std::int64_t>(wrong);
    return !wrong && index >= 0 && index < kChoicesMax ? index : 0;
}

bool is_native(Operation operation) {
    return operation == Operation::Native || operation == Operation::Infill;
}

}  // namespace

Result<void> Collector::add(json::object event) {
    if (is_native(operation_)) {
        add_native(std::move(event));
    } else {
        usage_.add(event, choices_of_prompt_);
        if (const json::value* choices = event.if_contains("choices");
            choices != nullptr && choices->is_array()) {
            for (const json::value& choice : choices->get_array()) {
                if (choice.is_object()) add_choice(choice.get_object());
            }
        }
        add_head(event);
    }
    if (bytes_ <= kBytesMax) return {};
    return fail(Code::TooLarge,
                format("the answer is over {} bytes; ask for it as a stream", kBytesMax));
}

void Collector::add_head(json::object& event) {
    for (auto& [key, value] : event) {
        if (key != "choices" && key != "usage" && key != "prompt_progress") {
            head_[key] = std::move(value);
        }
    }
}

void Collector::append_list(json::array& to, const json::object& from, std::string_view key) {
    const json::value* value = from.if_contains(key);
    if (value == nullptr || !value->is_array()) return;
    for (const json::value& item : value->get_array()) {
        bytes_ += inference::weight_of(item);
        to.push_back(item);
    }
}

Collector::Choice& Collector::choice_of(const json::object& event) {
    const auto [found, is_new] = choices_.try_emplace(index_of(event));
    if (is_new) bytes_ += sizeof(Choice);
    return found->second;
}

void Collector::add_choice(const json::object& choice) {
    Choice& to = choice_of(choice);
    if (const json::value* delta = choice.if_contains("delta");
        delta != nullptr && delta->is_object()) {
        add_delta(to, delta->get_object());
    }
    to.text += view_of(choice, "text");
    bytes_ += view_of(choice, "text").size();
    if (const json::value* reason = choice.if_contains("finish_reason");
        reason != nullptr && reason->is_string()) {
        to.finish_reason = *reason;
    }
    if (const json::value* logprobs = choice.if_contains("logprobs");
        logprobs != nullptr && logprobs->is_object()) {
        append_list(to.probabilities, logprobs->get_object(), "content");
    }
}

void Collector::add_delta(Choice& to, const json::object& delta) {
    const std::string_view content = view_of(delta, "content");
    const std::string_view reasoning = view_of(delta, "reasoning_content");
    to.text += content;
    to.reasoning += reasoning;
    bytes_ += content.size() + reasoning.size();
    add_signature(to, view_of(delta, "reasoning_signature"));
    const json::value* calls = delta.if_contains("tool_calls");
    if (calls == nullptr || !calls->is_array()) return;
    for (const json::value& call : calls->get_array()) {
        if (call.is_object()) add_call(to, call.get_object());
    }
}

// It holds for one piece of reasoning as it was, not for several put together.
void Collector::add_signature(Choice& to, std::string_view signature) {
    if (signature.empty()) return;
    to.signed_twice = to.signed_twice || !to.signature.empty();
    to.signature = signature;
    bytes_ += signature.size();
}

void Collector::add_call(Choice& to, const json::object& delta) {
    const auto [found, is_new] = to.calls.try_emplace(index_of(delta));
    Call& call = found->second;
    if (is_new) bytes_ += sizeof(Call);
    for (const auto& [key, value] : delta) {
        if (key != "index" && key != "function") call.rest[key] = value;
    }
    const json::value* function = delta.if_contains("function");
    if (function == nullptr || !function->is_object()) return;
    call.name += view_of(function->get_object(), "name");
    call.arguments += view_of(function->get_object(), "arguments");
    bytes_ += view_of(function->get_object(), "arguments").size();
}

void Collector::add_native(json::object event) {
    Choice& to = choice_of(event);
    to.text += view_of(event, "content");
    bytes_ += view_of(event, "content").size();
    append_list(to.tokens, event, "tokens");
    append_list(to.probabilities, event, "completion_probabilities");
    if (event.contains("stop_type") || to.last.empty()) to.last = std::move(event);
}

json::value Collector::finish() {
    if (is_native(operation_)) return finish_native();
    json::array choices;
    for (auto& [index, choice] : choices_) choices.push_back(finish_choice(index, choice));
    head_["choices"] = std::move(choices);
    if (operation_ == Operation::Chat) head_["object"] = "chat.completion";
    if (!usage_.empty()) head_["usage"] = usage_.total();
    return std::move(head_);
}

json::object Collector::finish_choice(std::int64_t index, Choice& choice) const {
    json::object out{{"index", index}};
    if (operation_ == Operation::Chat) {
        out["message"] = finish_message(choice);
    } else {
        out["text"] = choice.text;
    }
    out["finish_reason"] = std::move(choice.finish_reason);
    if (choice.probabilities.empty()) {
        out["logprobs"] = nullptr;
    } else {
        out["logprobs"] = json::object{{"content", std::move(choice.probabilities)}};
    }
    return out;
}

json::object Collector::finish_message(Choice& choice) const {
    json::object message{{"role", "assistant"}};
    // As the API has it: no text beside tool calls is null, not an empty text.
    if (choice.text.empty() && !choice.calls.empty()) {
        message["content"] = nullptr;
    } else {
        message["content"] = choice.text;
    }
    if (!choice.reasoning.empty()) message["reasoning_content"] = choice.reasoning;
    if (!choice.signature.empty() && !choice.signed_twice) {
        message["reasoning_signature"] = choice.signature;
    }
    if (choice.calls.empty()) return message;
    json::array calls;
    for (auto& [index, call] : choice.calls) {
        json::object out = std::move(call.rest);
        out["type"] = "function";
        out["function"] = {{"name", call.name}, {"arguments", call.arguments}};
        calls.push_back(std::move(out));
    }
    message["tool_calls"] = std::move(calls);
    return message;
}

json::value Collector::finish_native() {
    json::array answers;
    for (auto& [index, choice] : choices_) {
        json::object out = std::move(choice.last);
        out["content"] = choice.text;
        out["tokens"] = std::move(choice.tokens);
        if (!choice.probabilities.empty()) {
            out["completion_probabilities"] = std::move(choice.probabilities);
        }
        answers.push_back(std::move(out));
    }
    if (answers.size() == 1) return std::move(answers.front());
    return answers;
}

}  // namespace hearth::api
