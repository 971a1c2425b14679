#include "api/openai_messages.h"

#include <boost/json.hpp>
#include <string>
#include <string_view>
#include <utility>

#include "api/json_body.h"
#include "base/format.h"

namespace hearth::api::openai {
namespace {

namespace json = boost::json;

constexpr std::size_t kMessagesMax = 10'000;
constexpr std::size_t kPartsMax = 10'000;  // of one message

struct Place {
    std::size_t message = 0;
    std::size_t part = 0;
};

Error wrong_part(Place at, std::string_view what) {
    const std::string name = format("messages[{}].content[{}]", at.message, at.part);
    return {.code = Code::InvalidArgument, .message = format("{} {}", name, what), .param = name};
}

Error wrong_message(std::size_t index, std::string_view what) {
    const std::string name = format("messages[{}]", index);
    return {.code = Code::InvalidArgument, .message = format("{} {}", name, what), .param = name};
}

using Untranslatable = std::optional<Error>;

Result<void> reserve(Error error, Untranslatable& first) {
    if (!first) first = std::move(error);
    return {};
}

// An image by its address would have the engine fetch what a stranger names.
Result<void> take_image(json::object& part, Place at, Untranslatable& untranslatable) {
    const json::value* image = find(part, "image_url");
    if (image != nullptr && image->is_string()) {
        json::object held{{"url", *image}};
        part["image_url"] = std::move(held);
        image = find(part, "image_url");
    }
    const json::value* url =
        image != nullptr && image->is_object() ? find(image->get_object(), "url") : nullptr;
    if (url == nullptr || !url->is_string()) {
        return fail(wrong_part(at, "has no image_url.url"));
    }
    const std::string_view address = url->get_string();
    if (address.starts_with("data:")) return {};
    Error error = wrong_part(at,
                             "names an image by its address; nothing is fetched: send the image "
                             "itself as a data: URI");
    const bool is_web = address.starts_with("https://") || address.starts_with("http://");
    if (is_web) return reserve(std::move(error), untranslatable);
    return fail(std::move(error));
}

Result<void> check_audio(const json::object& part, Place at) {
    const json::value* audio = find(part, "input_audio");
    bool sound = audio != nullptr && audio->is_object() &&
                 find(audio->get_object(), "url") == nullptr &&
                 find(audio->get_object(), "data") != nullptr &&
                 find(audio->get_object(), "data")->is_string();
    if (sound) {
        const std::string_view data = find(audio->get_object(), "data")->get_string();
        // Base64 knows no colon, an address has one.
        sound = data.starts_with("data:") || !data.contains(':');
    }
    if (sound) return {};
    return fail(wrong_part(at, "must carry input_audio.data in base64, and no address"));
}

Result<void> take_part(json::value& part, Place at, Untranslatable& untranslatable) {
    if (!part.is_object()) return fail(wrong_part(at, "must be an object"));
    json::object& object = part.get_object();
    const std::string type = text_of(object, "type");
    if (type == "text") return {};
    if (type == "image_url") return take_image(object, at, untranslatable);
    if (type == "input_audio") return check_audio(object, at);
    if (type == "refusal") {
        part = json::object{{"type", "text"}, {"text", text_of(object, "refusal")}};
        return {};
    }
    Error error =
        wrong_part(at, format("has the type \"{}\"; text, image_url and input_audio are known",
                              type.substr(0, 40)));
    if (type == "file") return reserve(std::move(error), untranslatable);
    return fail(std::move(error));
}

// Templates of open models know none of these names.
void rename(json::object& message, const std::string& role) {
    if (role == "developer") message["role"] = "system";
    if (role == "function") message["role"] = "tool";
    if (message.contains("reasoning_content")) return;
    const std::string reasoning = text_of(message, "reasoning");
    if (reasoning.empty()) return;
    message.erase("reasoning");
    message["reasoning_content"] = reasoning;
}

Result<void> take_message(json::value& value, std::size_t index, Untranslatable& untranslatable) {
    if (!value.is_object()) return fail(wrong_message(index, "must be an object"));
    json::object& message = value.get_object();
    const std::string role = text_of(message, "role");
    if (role.empty()) return fail(wrong_message(index, "has no role"));
    rename(message, role);
    json::value* content = message.if_contains("content");
    if (content == nullptr || content->is_null() || content->is_string()) return {};
    if (!content->is_array() || content->get_array().size() > kPartsMax) {
        return fail(wrong_message(
            index, format("must have a content that is a string or a list of at most {} parts",
                          kPartsMax)));
    }
    json::array& parts = content->get_array();
    for (std::size_t i = 0; i < parts.size(); ++i) {
        TRY_VOID(take_part(parts[i], {.message = index, .part = i}, untranslatable));
    }
    return {};
}

}  // namespace

Result<std::optional<Error>> take_messages(json::object& body) {
    json::value* messages = body.if_contains("messages");
    if (messages == nullptr || !messages->is_array() || messages->get_array().empty()) {
        return fail(must_be("messages", "a list of at least one message"));
    }
    json::array& list = messages->get_array();
    if (list.size() > kMessagesMax) {
        return fail(must_be("messages", format("a list of at most {} messages", kMessagesMax)));
    }
    Untranslatable untranslatable;
    for (std::size_t i = 0; i < list.size(); ++i) {
        TRY_VOID(take_message(list[i], i, untranslatable));
    }
    return untranslatable;
}

}  // namespace hearth::api::openai
