#include "api/responses_input.h"

#include <string>
#include <string_view>
#include <utility>

#include "api/json_body.h"
#include "base/format.h"

namespace hearth::api::responses {
namespace {

namespace json = boost::json;

constexpr std::size_t kItemsMax = 10'000;
constexpr std::size_t kPartsMax = 10'000;  // of one item
constexpr std::size_t kWordShownMax = 40;

Error wrong(const std::string& where, std::string_view what) {
    return {.code = Code::InvalidArgument, .message = format("{} {}", where, what), .param = where};
}
Error not_served(const std::string& where, std::string_view what) {
    return {.code = Code::Unsupported, .message = format("{} {}", where, what), .param = where};
}

// An image by its address would have the engine fetch what a stranger names.
Result<json::value> take_image(const json::object& part, const std::string& where) {
    if (find(part, "file_id") != nullptr) {
        return fail(not_served(where,
                               "names an image by a file_id; this server keeps no files: "
                               "send the image itself as a data: URI in image_url"));
    }
    const std::string url = text_of(part, "image_url");
    if (url.empty()) return fail(wrong(where, "must have an image_url that is a string"));
    if (!url.starts_with("data:")) {
        return fail(wrong(where,
                          "names an image by its address; nothing is fetched: send the "
                          "image itself as a data: URI"));
    }
    return json::value{{"type", "image_url"}, {"image_url", {{"url", url}}}};
}

Result<json::value> take_text(const json::object& part, const char* member,
                              const std::string& where) {
    const json::value* text = find(part, member);
    if (text == nullptr || !text->is_string()) {
        return fail(wrong(where, format("must have a {} that is a string", member)));
    }
    return json::value{{"type", "text"}, {"text", *text}};
}

Result<json::value> take_part(const json::value& part, const std::string& where) {
    if (!part.is_object()) return fail(wrong(where, "must be an object"));
    const json::object& object = part.get_object();
    const std::string type = text_of(object, "type");
    if (type == "input_text" || type == "output_text" || type == "text") {
        return take_text(object, "text", where);
    }
    if (type == "refusal") return take_text(object, "refusal", where);
    if (type == "input_image") return take_image(object, where);
    if (type == "input_file") {
        return fail(not_served(where,
                               "is a file; this server reads none: send its text as "
                               "input_text"));
    }
    return fail(wrong(where, format("has the type \"{}\"; input_text, input_image, output_text "
                                    "and refusal are known",
                                    type.substr(0, kWordShownMax))));
}

bool is_text(const json::value& part) { return part.at("type") == "text"; }

// A single text stands for itself: not every template knows parts.
json::value content_of(json::array parts) {
    if (parts.empty()) return json::value("");
    if (parts.size() == 1 && is_text(parts.front())) return parts.front().at("text");
    return parts;
}

// A text, or a list of parts.
Result<json::value> take_content(const json::value* content, const std::string& where) {
    if (content != nullptr && content->is_string()) return *content;
    const json::array* list = content != nullptr ? content->if_array() : nullptr;
    if (list == nullptr || list->size() > kPartsMax) {
        return fail(
            wrong(where, format("must be a string or a list of at most {} parts", kPartsMax)));
    }
    json::array parts;
    for (std::size_t i = 0; i < list->size(); ++i) {
        TRY(json::value part, take_part((*list)[i], format("{}[{}]", where, i)));
        parts.push_back(std::move(part));
    }
    return content_of(std::move(parts));
}

// The texts of a list of parts, those of a kind, one after the other.
Result<std::string> texts_of(const json::object& item, const char* member, std::string_view kind,
                             const std::string& where) {
    std::string out;
    const json::value* list = find(item, member);
    if (list == nullptr) return out;
    const std::string at = format("{}.{}", where, member);
    if (!list->is_array()) return fail(wrong(at, format("must be a list of {} parts", kind)));
    for (const json::value& part : list->get_array()) {
        const json::value* text = part.is_object() ? find(part.get_object(), "text") : nullptr;
        if (text == nullptr || !text->is_string()) {
            return fail(wrong(at, format("must be a list of {} parts, each with a text", kind)));
        }
        if (!out.empty()) out += '\n';
        out += text->get_string();
    }
    return out;
}

bool is_system(const json::value& message) { return message.at("role") == "system"; }

// Only texts: nullopt where there is an image.
std::optional<std::string> plain_text(const json::value& content) {
    if (content.is_string()) return std::string(content.get_string());
    std::string out;
    for (const json::value& part : content.get_array()) {
        if (!is_text(part)) return std::nullopt;
        if (!out.empty()) out += '\n';
        out += part.at("text").get_string();
    }
    return out;
}

// Turns items into messages one by one.
class Conversation {
  public:
    explicit Conversation(std::string_view instructions) {
        if (!instructions.empty()) add("system", json::value(instructions));
    }

    Result<void> take(const json::value& value, const std::string& where) {
        if (!value.is_object()) return fail(wrong(where, "must be an object"));
        const json::object& item = value.get_object();
        const std::string type = text_of(item, "type");
        if (type == "message" || (type.empty() && find(item, "role") != nullptr)) {
            return take_message(item, where);
        }
        if (type == "function_call") return take_call(item, where);
        if (type == "function_call_output") return take_result(item, where);
        if (type == "reasoning") return take_reasoning(item, where);
        if (type == "item_reference") {
            return fail(not_served(where,
                                   "refers to an item of an earlier response; this server "
                                   "keeps no state: send the item itself"));
        }
        return fail(not_served(
            where, format("has the type \"{}\"; message, function_call, function_call_output and "
                          "reasoning are served",
                          type.substr(0, kWordShownMax))));
    }
    json::array finish() {
        close_turn();
        return std::move(messages_);
    }

  private:
    Result<void> take_message(const json::object& item, const std::string& where) {
        const std::string role = text_of(item, "role");
        TRY(json::value content, take_content(find(item, "content"), where + ".content"));
        if (role == "assistant") {
            if (has_content_ || !calls_.empty()) close_turn();
            content_ = std::move(content);
            has_content_ = in_turn_ = true;
            return {};
        }
        if (role != "user" && role != "system" && role != "developer") {
            return fail(
                wrong(where + ".role", R"(must be "user", "assistant", "system" or "developer")"));
        }
        close_turn();
        // Templates of open models know no developer.
        add(role == "user" ? "user" : "system", std::move(content));
        return {};
    }

    Result<void> take_call(const json::object& item, const std::string& where) {
        for (const char* needed : {"call_id", "name"}) {
            if (text_of(item, needed).empty()) {
                return fail(wrong(format("{}.{}", where, needed), "must be a string"));
            }
        }
        const json::value* arguments = find(item, "arguments");
        if (arguments == nullptr || !arguments->is_string()) {
            return fail(wrong(where + ".arguments", "must be a string that holds JSON"));
        }
        calls_.push_back({{"id", item.at("call_id")},
                          {"type", "function"},
                          {"function", {{"name", item.at("name")}, {"arguments", *arguments}}}});
        in_turn_ = true;
        return {};
    }

    Result<void> take_result(const json::object& item, const std::string& where) {
        const std::string id = text_of(item, "call_id");
        if (id.empty()) return fail(wrong(where + ".call_id", "must be a string"));
        TRY(json::value content, take_content(find(item, "output"), where + ".output"));
        close_turn();
        messages_.push_back(
            {{"role", "tool"}, {"tool_call_id", id}, {"content", std::move(content)}});
        return {};
    }

    // What is encrypted was not made here and says nothing to a model of ours.
    Result<void> take_reasoning(const json::object& item, const std::string& where) {
        TRY(std::string text, texts_of(item, "content", "reasoning_text", where));
        TRY(const std::string summary, texts_of(item, "summary", "summary_text", where));
        if (text.empty()) text = summary;
        if (text.empty()) return {};
        if (has_content_ || !calls_.empty()) close_turn();
        if (!reasoning_.empty()) reasoning_ += '\n';
        reasoning_ += text;
        in_turn_ = true;
        return {};
    }

    void add(std::string_view role, json::value content) {
        if (role == "system" && merge_system(content)) return;
        messages_.push_back({{"role", role}, {"content", std::move(content)}});
    }

    // Into the system's first message, as long as nobody else has spoken.
    bool merge_system(const json::value& content) {
        if (messages_.size() != 1 || !is_system(messages_.front())) return false;
        json::value& first = messages_.front().at("content");
        const auto before = plain_text(first);
        const auto more = plain_text(content);
        if (!before || !more) return false;
        first = *before + "\n\n" + *more;
        return true;
    }

    void close_turn() {
        if (!in_turn_) return;
        json::object message{{"role", "assistant"}};
        message["content"] = has_content_ || calls_.empty() ? std::move(content_) : json::value();
        if (!reasoning_.empty()) message["reasoning_content"] = reasoning_;
        if (!calls_.empty()) message["tool_calls"] = std::move(calls_);
        messages_.push_back(std::move(message));
        content_ = "";
        reasoning_.clear();
        calls_ = {};
        has_content_ = in_turn_ = false;
    }

    json::array messages_;
    // The model's turn that is not over.
    bool in_turn_ = false;
    bool has_content_ = false;
    json::value content_ = "";
    std::string reasoning_;
    json::array calls_;
};

}  // namespace

Result<json::array> messages_of(const json::value& input, std::string_view instructions) {
    Conversation conversation(instructions);
    if (input.is_string()) {
        const json::object item{{"role", "user"}, {"content", input}};
        TRY_VOID(conversation.take(item, "input"));
        return conversation.finish();
    }
    const json::array* items = input.if_array();
    if (items == nullptr || items->empty() || items->size() > kItemsMax) {
        return fail(must_be("input", format("a string or a list of 1 to {} items", kItemsMax)));
    }
    for (std::size_t i = 0; i < items->size(); ++i) {
        TRY_VOID(conversation.take((*items)[i], format("input[{}]", i)));
    }
    return conversation.finish();
}

}  // namespace hearth::api::responses
