#include "pipeline/kept_answer.h"

#include <algorithm>
#include <array>
#include <boost/json.hpp>
#include <cstdint>
#include <limits>
#include <utility>

#include "inference/json.h"
#include "inference/json_members.h"

namespace json = boost::json;

namespace hearth::pipeline {
namespace {

using inference::GenerateReply;
using inference::GenerateRequest;
using inference::Operation;
using inference::Usage;

// Members that change nothing of the answer.
constexpr std::array<std::string_view, 4> kIdle = {"user", "metadata", "safety_identifier",
                                                   "prompt_cache_key"};

// The names of Usage's counts in a payload.
constexpr std::array<std::pair<const char*, std::optional<std::uint64_t> Usage::*>, 5> kCounts = {
    {{"prompt", &Usage::prompt_tokens},
     {"cached", &Usage::cached_tokens},
     {"cache_write", &Usage::cache_write_tokens},
     {"completion", &Usage::completion_tokens},
     {"reasoning", &Usage::reasoning_tokens}}};

std::string_view name_of(Operation operation) {
    switch (operation) {
        case Operation::Chat: return "chat";
        case Operation::Completion: return "completion";
        case Operation::Native: return "native";
        case Operation::Infill: return "infill";
    }
    return "";
}

std::optional<double> number_at(const json::object& body, std::string_view name) {
    const json::value* value = inference::find(body, name);
    if (value == nullptr || !value->is_number()) return std::nullopt;
    return value->to_number<double>();
}

// The text an event adds where adding it is all that it does; else nullptr. `event` is an object or
// a const one.
template <class Event>
auto* text_of(Event& event, Operation operation) {
    using Text = std::conditional_t<std::is_const_v<Event>, const json::string, json::string>;
    Text* const none = nullptr;
    if (operation != Operation::Chat && operation != Operation::Completion) return none;
    if (event.contains("usage") || event.contains("timings")) return none;
    auto* choices = event.if_contains("choices");
    if (choices == nullptr || !choices->is_array() || choices->get_array().size() != 1) return none;
    auto& choice = choices->get_array().front();
    if (!choice.is_object()) return none;
    auto& members = choice.get_object();
    for (const auto& member : members) {
        const std::string_view name = member.key();
        const bool is_known = name == "index" || name == "delta" || name == "text";
        if (!is_known && !member.value().is_null()) return none;
    }
    auto* text = operation == Operation::Completion ? members.if_contains("text") : nullptr;
    if (auto* delta = members.if_contains("delta"); operation == Operation::Chat &&
                                                    delta != nullptr && delta->is_object() &&
                                                    delta->get_object().size() == 1) {
        auto& only = *delta->get_object().begin();
        const std::string_view name = only.key();
        if (name == "content" || name == "reasoning_content") text = &only.value();
    }
    return text != nullptr ? text->if_string() : none;
}

// What two such events have to have in common to be one: whose text, and which.
std::pair<std::int64_t, std::string_view> place_of(const json::object& event) {
    const json::object& choice = event.at("choices").as_array().front().as_object();
    const json::object* delta = inference::object_at(choice, "delta");
    const auto index = inference::count_at(choice, "index").value_or(0);
    return {static_cast<std::int64_t>(index),
            delta != nullptr ? std::string_view(delta->begin()->key()) : std::string_view("text")};
}

bool is_whole(std::string_view reason) {
    return reason == "stop" || reason == "length" || reason == "tool_calls" ||
           reason == "function_call";
}

}  // namespace

cache::Space space_of(const GenerateRequest& request) {
    if (request.operation == Operation::Chat) return cache::Space::Chat;
    const bool fills = request.operation == Operation::Infill ||
                       !inference::text_at(request.body, "suffix").empty();
    return fills ? cache::Space::Fim : cache::Space::Completion;
}

bool is_repeatable(const GenerateRequest& request) {
    // llama.cpp takes these for "any seed". Source: llama.h, LLAMA_DEFAULT_SEED.
    constexpr double kAnySeed = std::numeric_limits<std::uint32_t>::max();
    const auto seed = number_at(request.body, "seed");
    const bool is_seeded = seed && *seed >= 0 && *seed != kAnySeed;
    return is_seeded || number_at(request.body, "temperature") == 0.0 ||
           number_at(request.body, "top_k") == 1.0;
}

cache::Key key_of(const GenerateRequest& request, std::string_view identity, const Caller& caller,
                  bool relays) {
    cache::KeyWriter writer(relays ? "relayed" : name_of(request.operation));
    writer.text("tenant", caller.tenant).text("identity", identity);
    if (relays) {
        writer.number("dialect", static_cast<std::uint64_t>(request.original->dialect))
            .number("stream", request.original->stream ? 1 : 0)
            .text("usage", request.original->usage_wish)
            .text("original", request.original->body)
            .number("fields", request.original->headers.size());
        for (const auto& [name, value] : request.original->headers) writer.text(name, value);
        return writer.finish();
    }
    writer.number("context", request.context_min)
        .number("opens_answer", request.opens_answer ? 1 : 0)
        .json("body", request.body, kIdle);
    return writer.finish();
}

void KeepingSink::begin(inference::Origin origin) {
    origin_ = origin;
    events_.clear();
    relayed_.clear();
    bytes_ = 0;
    next_.begin(std::move(origin));
}

Awaitable<Result<void>> KeepingSink::relay(std::string_view bytes, bool says) {
    bytes_ += bytes.size();
    if (bytes_ <= kBytesMax) relayed_ += bytes;
    co_return co_await next_.relay(bytes, says);
}

Awaitable<Result<void>> KeepingSink::push(json::object event) {
    note(event);
    co_return co_await next_.push(std::move(event));
}

void KeepingSink::note(const json::object& event) {
    if (bytes_ > kBytesMax || join(event)) return;
    bytes_ += inference::weight_of(event);
    if (bytes_ > kBytesMax) {
        events_ = {};
    } else {
        events_.emplace_back(event);
    }
}

// Most of an answer is one text in many pieces.
bool KeepingSink::join(const json::object& event) {
    if (events_.empty() || text_of(event, operation_) == nullptr) return false;
    json::object& last = events_.back().get_object();
    json::string* const text = text_of(last, operation_);
    if (text == nullptr || place_of(last) != place_of(event)) return false;
    const json::string& more = *text_of(event, operation_);
    text->append(more);
    bytes_ += more.size();
    return true;
}

bool KeepingSink::has_ended() const {
    // Whoever relays has seen its end. What a filter did to it, it says with one of these words, of
    // which none is in many answers.
    if (!relayed_.empty()) {
        return events_.empty() && !relayed_.contains("content_filter") &&
               !relayed_.contains("\"refusal\"");
    }
    std::set<std::uint64_t> begun;
    std::set<std::uint64_t> ended;
    for (const json::value& event : events_) {
        const json::object& members = event.get_object();
        if (operation_ != Operation::Chat && operation_ != Operation::Completion) {
            const auto index = inference::count_at(members, "index").value_or(0);
            begun.insert(index);
            if (inference::flag_at(members, "stop")) ended.insert(index);
            continue;
        }
        const json::array* choices = inference::list_at(members, "choices");
        if (choices == nullptr) continue;
        for (const json::value& choice : *choices) {
            if (!choice.is_object()) return false;
            const auto index = inference::count_at(choice.get_object(), "index").value_or(0);
            begun.insert(index);
            const auto reason = inference::text_at(choice.get_object(), "finish_reason");
            if (!reason.empty() && !is_whole(reason)) return false;
            if (!reason.empty()) ended.insert(index);
        }
    }
    return !begun.empty() && begun == ended;
}

std::optional<std::string> KeepingSink::payload(const GenerateReply& reply) const {
    if (bytes_ > kBytesMax || !has_ended()) return std::nullopt;
    json::object usage;
    for (const auto& [name, count] : kCounts) {
        if (reply.usage.*count) usage[name] = *(reply.usage.*count);
    }
    return json::serialize(json::object{{"model", origin_.model},
                                        {"backend", origin_.backend},
                                        {"usage", std::move(usage)},
                                        {"events", events_},
                                        {"relayed", relayed_}});
}

std::optional<KeptAnswer> KeptAnswer::read(const cache::Entry& entry) {
    boost::system::error_code wrong;
    json::value value = inference::parse_json(entry.payload, wrong);
    if (wrong || !value.is_object()) return std::nullopt;
    json::object& members = value.get_object();
    json::value* const events = members.if_contains("events");
    const bool is_answer = events != nullptr && events->is_array() &&
                           std::ranges::all_of(events->get_array(), [](const json::value& event) {
                               return event.is_object();
                           });
    if (!is_answer) return std::nullopt;
    KeptAnswer answer;
    answer.origin.model = inference::text_at(members, "model");
    answer.origin.backend = inference::text_at(members, "backend");
    if (const json::object* usage = inference::object_at(members, "usage")) {
        for (const auto& [name, count] : kCounts) {
            answer.reply.usage.*count = inference::count_at(*usage, name);
        }
    }
    answer.relayed = inference::text_at(members, "relayed");
    answer.events = std::move(events->get_array());
    return answer;
}

Awaitable<Result<GenerateReply>> KeptAnswer::say(inference::Sink& sink) {
    sink.begin(origin);
    for (json::value& event : events) {
        CO_TRY_VOID(co_await sink.push(std::move(event.get_object())));
    }
    if (!relayed.empty()) CO_TRY_VOID(co_await sink.relay(relayed, true));
    co_return reply;
}

}  // namespace hearth::pipeline
