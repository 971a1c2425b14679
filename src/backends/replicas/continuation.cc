#include "backends/replicas/continuation.h"

#include <algorithm>
#include <array>
#include <boost/json.hpp>
#include <utility>

#include "backends/replicas/failover.h"

namespace hearth::replicas {
namespace {

namespace json = boost::json;
using inference::GenerateRequest;
using inference::Operation;

constexpr std::array kHead = {"id", "created", "model", "system_fingerprint"};
// An answer of a form cannot be begun in its middle; one of several is not one.
constexpr std::array kForms = {"response_format", "json_schema", "grammar"};
constexpr std::array kCounts = {"n", "n_cmpl", "best_of"};

bool says_more(const json::value* value) {
    if (value == nullptr || value->is_null()) return false;
    if (value->is_string()) return !value->get_string().empty();
    if (const json::object* object = value->if_object()) {
        const json::value* type = object->if_contains("type");
        return type == nullptr || *type != "text";
    }
    return true;
}

// The text that an answer of this call would be joined to.
const json::value* beginning_of(const GenerateRequest& request) {
    const char* name = request.operation == Operation::Chat     ? "messages"
                       : request.operation == Operation::Infill ? "input_prefix"
                                                                : "prompt";
    const json::value* value = request.body.if_contains(name);
    if (value == nullptr || request.operation == Operation::Chat) return value;
    const json::array* list = value->if_array();
    return list != nullptr && list->size() == 1 ? &list->front() : value;
}

bool has_one_text(const GenerateRequest& request) {
    const json::object& body = request.body;
    if (std::ranges::any_of(kForms,
                            [&](const char* name) { return says_more(body.if_contains(name)); })) {
        return false;
    }
    if (std::ranges::any_of(kCounts, [&](const char* name) {
            const json::value* count = body.if_contains(name);
            return count != nullptr && count->is_number() && count->to_number<double>() > 1;
        })) {
        return false;
    }
    const json::value* beginning = beginning_of(request);
    if (beginning == nullptr) return false;
    return request.operation == Operation::Chat ? beginning->is_array() : beginning->is_string();
}

void lessen_limits(json::object& body, std::uint64_t pieces) {
    for (const std::string_view name : inference::kTokensLimits) {
        json::value* limit = body.if_contains(name);
        if (limit == nullptr || !limit->is_number()) continue;
        const auto tokens = limit->to_number<double>();
        if (tokens >= 0) *limit = std::max(1.0, tokens - static_cast<double>(pieces));
    }
}

// Without what only opens an answer.
void drop_opening(json::object& event) {
    json::value* choices = event.if_contains("choices");
    if (choices == nullptr || !choices->is_array()) return;
    for (json::value& choice : choices->get_array()) {
        json::object* holder = choice.if_object();
        json::value* delta = holder != nullptr ? holder->if_contains("delta") : nullptr;
        if (delta != nullptr && delta->is_object()) delta->get_object().erase("role");
    }
}

bool tells_anything(const json::object& event) {
    return inference::says_something(event) || event.contains("usage") ||
           !event.contains("choices");
}

}  // namespace

Continuation::Continuation(const GenerateRequest& request, inference::Sink& next)
    : request_(request), next_(next), continuable_(has_one_text(request)) {}

GenerateRequest Continuation::next_call() {
    GenerateRequest call = request_;
    call.original.reset();
    if (text_.empty()) return call;
    ++continuations_;
    earlier_ = pieces_;
    if (request_.operation == Operation::Chat) {
        call.opens_answer = true;
        call.body["messages"].as_array().push_back({{"role", "assistant"}, {"content", text_}});
    } else {
        const char* name = request_.operation == Operation::Infill ? "input_prefix" : "prompt";
        call.body[name] = std::string(beginning_of(request_)->get_string()) + text_;
    }
    lessen_limits(call.body, pieces_);
    return call;
}

bool Continuation::may_go_on(const Error& error) {
    if (!begun_ || !continuable_ || !may_succeed_elsewhere(error)) return false;
    if (!broken_) broken_ = error;
    return true;
}

void Continuation::begin(inference::Origin origin) {
    if (!begun_) next_.begin(std::move(origin));
}

Awaitable<Result<void>> Continuation::push(json::object event) {
    if (continuations_ > 0) {
        drop_opening(event);
        if (!tells_anything(event)) co_return Result<void>();
        give_first_head(event);
        count_whole(event);
    } else if (!begun_) {
        for (const char* name : kHead) {
            if (const json::value* value = event.if_contains(name)) head_[name] = *value;
        }
    }
    begun_ = true;
    if (continuations_ == 0) inference::note_usage(event, first_);
    note(event);
    Result<void> pushed = co_await next_.push(std::move(event));
    if (!pushed) continuable_ = false;
    co_return pushed;
}

Awaitable<Result<void>> Continuation::alive() {
    Result<void> told = co_await next_.alive();
    if (!told) continuable_ = false;
    co_return told;
}

void Continuation::give_first_head(json::object& event) const {
    for (const auto& [name, value] : head_) {
        if (event.contains(name)) event[name] = value;
    }
}

void Continuation::make_whole(inference::Usage& usage) const {
    if (earlier_ == 0) return;
    if (usage.completion_tokens) *usage.completion_tokens += earlier_;
    if (!usage.prompt_tokens) return;
    const std::uint64_t told = *usage.prompt_tokens;
    usage.prompt_tokens = first_.prompt_tokens.value_or(told - std::min(told, earlier_));
    if (usage.cached_tokens)
        *usage.cached_tokens = std::min(*usage.cached_tokens, *usage.prompt_tokens);
}

// The same in an event that tells it.
void Continuation::count_whole(json::object& event) const {
    inference::Usage usage;
    inference::note_usage(event, usage);
    make_whole(usage);
    const auto put = [](json::object& to, const char* name, std::optional<std::uint64_t> count) {
        if (count && to.contains(name)) to[name] = *count;
    };
    put(event, "tokens_evaluated", usage.prompt_tokens);
    put(event, "tokens_predicted", usage.completion_tokens);
    json::value* told = event.if_contains("usage");
    if (told == nullptr || !told->is_object()) return;
    json::object& counts = told->get_object();
    put(counts, "prompt_tokens", usage.prompt_tokens);
    put(counts, "completion_tokens", usage.completion_tokens);
    if (usage.prompt_tokens && usage.completion_tokens) {
        put(counts, "total_tokens", *usage.prompt_tokens + *usage.completion_tokens);
    }
    json::value* details = counts.if_contains("prompt_tokens_details");
    if (details != nullptr && details->is_object()) {
        put(details->get_object(), "cached_tokens", usage.cached_tokens);
    }
}

void Continuation::add_text(const json::object& from, std::string_view key) {
    const json::value* text = from.if_contains(key);
    if (text == nullptr || !text->is_string() || text->get_string().empty()) return;
    if (!continuable_) return;
    text_ += text->get_string();
    ++pieces_;
    if (text_.size() > kTextBytesMax) continuable_ = false;
}

void Continuation::note_choice(const json::object& choice) {
    const json::value* index = choice.if_contains("index");
    if (index != nullptr && *index != 0) continuable_ = false;
    const json::value* delta = choice.if_contains("delta");
    const json::object* said = delta != nullptr ? delta->if_object() : nullptr;
    if (says_more(choice.if_contains("finish_reason"))) continuable_ = false;
    add_text(choice, "text");
    if (said == nullptr) return;
    for (const char* name : {"tool_calls", "reasoning_content", "refusal"}) {
        if (says_more(said->if_contains(name))) continuable_ = false;
    }
    add_text(*said, "content");
}

void Continuation::note(const json::object& event) {
    if (says_more(event.if_contains("stop_type"))) continuable_ = false;
    add_text(event, "content");
    const json::value* choices = event.if_contains("choices");
    if (choices == nullptr || !choices->is_array()) return;
    for (const json::value& choice : choices->get_array()) {
        if (choice.is_object()) note_choice(choice.get_object());
    }
}

}  // namespace hearth::replicas
