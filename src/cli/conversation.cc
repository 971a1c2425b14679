#include "cli/conversation.h"

#include <boost/json.hpp>

#include "base/encoding.h"

namespace hearth::cli {
namespace json = boost::json;

void Conversation::say(std::string_view text, const std::vector<std::string>& images) {
    json::object message{{"role", "user"}, {"content", repair_utf8(text)}};
    if (!images.empty()) message["images"] = json::value_from(images);
    messages_.push_back(std::move(message));
}

void Conversation::hear(std::string_view text, std::string_view thinking) {
    if (text.empty() && thinking.empty()) {
        take_back();
        return;
    }
    json::object message{{"role", "assistant"}, {"content", repair_utf8(text)}};
    if (!thinking.empty()) message["thinking"] = repair_utf8(thinking);
    messages_.push_back(std::move(message));
}

void Conversation::take_back() {
    if (!messages_.empty()) messages_.pop_back();
}

void Conversation::clear() { messages_.clear(); }

json::object Conversation::body() const {
    json::object body{{"model", repair_utf8(settings.model)}};
    if (!settings.options.empty()) body["options"] = settings.options;
    if (!settings.format.is_null()) body["format"] = settings.format;
    if (!settings.think.is_null()) body["think"] = settings.think;
    if (!settings.keep_alive.is_null()) body["keep_alive"] = settings.keep_alive;
    return body;
}

json::object Conversation::saved() const {
    json::array messages;
    if (!settings.system.empty()) {
        messages.push_back({{"role", "system"}, {"content", repair_utf8(settings.system)}});
    }
    messages.insert(messages.end(), messages_.begin(), messages_.end());
    json::object whole = body();
    whole["messages"] = std::move(messages);
    return whole;
}

std::string Conversation::request(bool stream) const {
    json::object whole = saved();
    whole["stream"] = stream;
    return json::serialize(whole);
}

std::string Conversation::load_request() const {
    json::object load{{"model", repair_utf8(settings.model)}, {"messages", json::array()}};
    if (!settings.keep_alive.is_null()) load["keep_alive"] = settings.keep_alive;
    if (const json::value* context = settings.options.if_contains("num_ctx")) {
        load["options"] = {{"num_ctx", *context}};
    }
    return json::serialize(load);
}

}  // namespace hearth::cli
