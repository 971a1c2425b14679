#include "api/usage_total.h"

#include <boost/json/value.hpp>
#include <string_view>

namespace hearth::api {
namespace {

namespace json = boost::json;

constexpr std::int64_t kCountMax = 1'000'000'000'000;

std::int64_t count_at(const json::object& from, std::string_view key) {
    // What was parsed is signed; what a backend has made itself may be unsigned.
    boost::system::error_code wrong;
    const json::value* value = from.if_contains(key);
    if (value == nullptr) return 0;
    const auto count = value->to_number<std::int64_t>(wrong);
    return !wrong && count >= 0 && count <= kCountMax ? count : 0;
}

void add_count(json::object& to, const json::object& from, std::string_view key) {
    if (from.contains(key)) to[key] = count_at(to, key) + count_at(from, key);
}

void add_cached(json::object& to, const json::object& from) {
    constexpr std::string_view kDetails = "prompt_tokens_details";
    json::value* total = to.if_contains(kDetails);
    const json::value* more = from.if_contains(kDetails);
    const bool both =
        total != nullptr && total->is_object() && more != nullptr && more->is_object();
    if (both) add_count(total->get_object(), more->get_object(), "cached_tokens");
}

}  // namespace

void UsageTotal::add(const json::object& usage, std::int64_t prompt) {
    const bool new_prompt = prompts_.insert(prompt).second;
    if (total_.empty()) {
        total_ = usage;
        return;
    }
    add_count(total_, usage, "completion_tokens");
    if (new_prompt) {
        add_count(total_, usage, "prompt_tokens");
        add_cached(total_, usage);
    }
    total_["total_tokens"] =
        count_at(total_, "prompt_tokens") + count_at(total_, "completion_tokens");
}

}  // namespace hearth::api
