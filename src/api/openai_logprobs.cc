#include "api/openai_logprobs.h"

#include <algorithm>
#include <boost/json.hpp>
#include <string_view>
#include <utility>

#include "api/json_body.h"

namespace hearth::api::openai {
namespace {

namespace json = boost::json;

json::array* content_of(json::object& logprobs) {
    json::value* content = logprobs.if_contains("content");
    return content != nullptr && content->is_array() ? &content->get_array() : nullptr;
}

std::size_t code_points(std::string_view text) {
    return static_cast<std::size_t>(
        std::ranges::count_if(text, [](unsigned char c) { return (c & 0xC0) != 0x80; }));
}

json::value number_of(const json::object& entry) {
    const json::value* number = find(entry, "logprob");
    return number != nullptr && number->is_number() ? *number : json::value();
}

// Alternatives come with the likeliest first; of equal texts that one counts. The token itself is
// always among them.
json::value alternatives_of(const json::object& entry) {
    const json::value* top = find(entry, "top_logprobs");
    if (top == nullptr || !top->is_array()) return nullptr;
    json::object out;
    for (const json::value& one : top->get_array()) {
        if (one.is_object()) {
            out.emplace(text_of(one.get_object(), "token"), number_of(one.get_object()));
        }
    }
    out.emplace(text_of(entry, "token"), number_of(entry));
    return out;
}

}  // namespace

void trim_alternatives(json::object& logprobs, std::size_t top) {
    json::array* content = content_of(logprobs);
    if (content == nullptr) return;
    for (json::value& entry : *content) {
        if (!entry.is_object()) continue;
        for (const char* name : {"top_logprobs", "top_probs"}) {
            json::value* list = entry.get_object().if_contains(name);
            if (list == nullptr || !list->is_array()) continue;
            if (list->get_array().size() > top) list->get_array().resize(top);
        }
    }
}

void add_lists(json::object& logprobs, std::size_t& offset) {
    const json::array* content = content_of(logprobs);
    if (content == nullptr) return;
    json::array tokens;
    json::array numbers;
    json::array alternatives;
    json::array offsets;
    for (const json::value& value : *content) {
        if (!value.is_object()) continue;
        const json::object& entry = value.get_object();
        const std::string token = text_of(entry, "token");
        numbers.push_back(number_of(entry));
        alternatives.push_back(alternatives_of(entry));
        offsets.push_back(offset);
        offset += code_points(token);
        tokens.push_back(json::value(token));
    }
    logprobs["tokens"] = std::move(tokens);
    logprobs["token_logprobs"] = std::move(numbers);
    logprobs["top_logprobs"] = std::move(alternatives);
    logprobs["text_offset"] = std::move(offsets);
}

}  // namespace hearth::api::openai
