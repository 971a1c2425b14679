#include "api/shorten.h"

#include <algorithm>
#include <boost/json.hpp>
#include <cmath>
#include <string_view>
#include <utility>

#include "api/json_body.h"

namespace hearth::api {
namespace {

namespace json = boost::json;

bool is_from(const json::value& message, std::string_view role) {
    return message.is_object() && text_of(message.get_object(), "role") == role;
}

// Where the last turn begins.
std::size_t last_turn(const json::array& messages) {
    std::size_t first = messages.size() - 1;
    while (first > 0 && is_from(messages[first], "tool")) --first;
    return is_from(messages[first], "assistant") ? first : messages.size() - 1;
}

}  // namespace

bool drop_oldest_messages(inference::GenerateRequest& request, std::size_t tokens,
                          std::size_t room) {
    json::value* found = request.body.if_contains("messages");
    if (found == nullptr || !found->is_array() || tokens <= room) return false;
    json::array& messages = found->get_array();
    if (messages.empty()) return false;
    const std::size_t last = last_turn(messages);
    const auto spare = static_cast<std::size_t>(std::ranges::count_if(
        messages.begin(), messages.begin() + static_cast<std::ptrdiff_t>(last),
        [](const json::value& one) { return !is_from(one, "system"); }));
    if (spare == 0) return false;
    const double share = 1 - static_cast<double>(room) / static_cast<double>(tokens);
    auto drop = static_cast<std::size_t>(std::ceil(share * static_cast<double>(spare)));
    drop = std::clamp<std::size_t>(drop, 1, spare);
    json::array kept;
    bool after_dropped = false;
    for (std::size_t i = 0; i < messages.size(); ++i) {
        const bool is_kept = i >= last || is_from(messages[i], "system");
        // The result of a call that is gone would be the answer to nothing.
        const bool orphan = after_dropped && is_from(messages[i], "tool");
        after_dropped = !is_kept && (drop > 0 || orphan);
        if (!after_dropped) {
            kept.push_back(std::move(messages[i]));
        } else if (drop > 0) {
            --drop;
        }
    }
    messages = std::move(kept);
    return true;
}

}  // namespace hearth::api
