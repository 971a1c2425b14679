#include "api/usage_total.h"

#include <algorithm>
#include <boost/json/array.hpp>
#include <boost/json/value.hpp>
#include <string_view>

#include "inference/json_members.h"

namespace hearth::api {
namespace {

namespace json = boost::json;
using inference::list_at;
using inference::object_at;

constexpr std::uint64_t kCountMax = 1'000'000'000'000;
// Of 2,048 prompts with 128 choices each, the most a dialect accepts.
constexpr std::size_t kChoicesMax = 2048 * 128;
constexpr std::string_view kDetails = "prompt_tokens_details";

std::int64_t counted_at(const json::object& from, std::string_view key) {
    const auto count = inference::count_at(from, key).value_or(0);
    return count <= kCountMax ? static_cast<std::int64_t>(count) : 0;
}

std::int64_t cached_of(const json::object& usage) {
    const json::object* details = object_at(usage, kDetails);
    return details != nullptr ? counted_at(*details, "cached_tokens") : 0;
}

void set_count(json::object& to, std::string_view key, std::int64_t count) {
    if (to.contains(key)) to[key] = count;
}

void set_counts(json::object& to, std::int64_t prompt, std::int64_t cached,
                std::int64_t completion) {
    set_count(to, "prompt_tokens", prompt);
    set_count(to, "completion_tokens", completion);
    if (to.contains("prompt_tokens") && to.contains("completion_tokens")) {
        to["total_tokens"] = prompt + completion;
    }
    json::value* details = to.if_contains(kDetails);
    if (details != nullptr && details->is_object()) {
        set_count(details->get_object(), "cached_tokens", cached);
    }
}

}  // namespace

void UsageTotal::add(const json::object& event, std::int64_t choices_of_prompt) {
    choices_of_prompt_ = std::max<std::int64_t>(1, choices_of_prompt);
    const json::array* choices = list_at(event, "choices");
    if (choices != nullptr) {
        for (const json::value& choice : *choices) {
            if (choice.is_object()) see(counted_at(choice.get_object(), "index"));
        }
    }
    const json::object* usage = object_at(event, "usage");
    if (usage == nullptr) return;
    if (choices != nullptr && choices->size() == 1 && choices->front().is_object()) {
        add_choice(counted_at(choices->front().get_object(), "index"), *usage);
    } else {
        add_whole(*usage, choices == nullptr || choices->empty());
    }
}

void UsageTotal::see(std::int64_t choice) {
    if (!seen_) seen_ = choice;
    several_ = several_ || choice != *seen_;
}

void UsageTotal::add_choice(std::int64_t choice, const json::object& usage) {
    if (counts_.empty()) named_ = choice;
    if (choice == named_) words_ = usage;
    if (counts_.size() == kChoicesMax && !counts_.contains(choice)) return;
    counts_[choice] = {.prompt = counted_at(usage, "prompt_tokens"),
                       .cached = cached_of(usage),
                       .completion = counted_at(usage, "completion_tokens")};
}

// llama-server tells the usage of each choice of a chat in an event that names none of them.
void UsageTotal::add_whole(const json::object& usage, bool names_no_choice) {
    const bool adds = whole_ && names_no_choice && several_;
    if (!adds) {
        whole_ = usage;
        return;
    }
    set_counts(*whole_, counted_at(*whole_, "prompt_tokens"), cached_of(*whole_),
               counted_at(*whole_, "completion_tokens") + counted_at(usage, "completion_tokens"));
}

json::object UsageTotal::total() const {
    if (whole_) return *whole_;
    json::object out = words_;
    if (counts_.size() == 1) return out;
    Counts sum;
    std::int64_t last_prompt = -1;
    for (const auto& [choice, counts] : counts_) {
        sum.completion += counts.completion;
        const std::int64_t prompt = choice / choices_of_prompt_;
        if (prompt == last_prompt) continue;
        last_prompt = prompt;
        sum.prompt += counts.prompt;
        sum.cached += counts.cached;
    }
    set_counts(out, sum.prompt, sum.cached, sum.completion);
    return out;
}

}  // namespace hearth::api
