#include "backends/remote/ollama_messages.h"

#include <boost/json.hpp>
#include <map>
#include <string>
#include <utility>

#include "backends/remote/members.h"
#include "backends/remote/ollama_request.h"
#include "backends/remote/wire_json.h"
#include "base/format.h"

namespace hearth::remote {
namespace {

namespace json = boost::json;

class OllamaMessages {
  public:
    Result<json::object> translate(const json::object& message, const std::string& where) {
        const std::string_view role = text_at(message, "role");
        json::object out{{"role", role == "developer" ? std::string_view("system") : role}};
        TRY_VOID(take_content(message, where, out));
        if (const auto thinking = text_at(message, "reasoning_content"); !thinking.empty()) {
            out["thinking"] = thinking;
        }
        if (const json::array* calls = list_at(message, "tool_calls")) {
            TRY(out["tool_calls"], translate_calls(*calls, where));
        }
        if (role == "tool") name_tool(message, out);
        return out;
    }

  private:
    static Result<void> take_content(const json::object& message, const std::string& where,
                                     json::object& out) {
        out["content"] = text_at(message, "content");
        const json::array* parts = list_at(message, "content");
        if (parts == nullptr) return {};
        std::string text;
        json::array images;
        for (std::size_t i = 0; i < parts->size(); ++i) {
            const json::object* part = (*parts)[i].if_object();
            const std::string at = format("{}.content[{}]", where, i);
            if (part == nullptr) return must_be(at, "an object");
            if (text_at(*part, "type") == "text") {
                if (!text.empty()) text += '\n';
                text += text_at(*part, "text");
            } else {
                TRY(json::value image, read_image(*part, at));
                images.push_back(std::move(image));
            }
        }
        out["content"] = text;
        if (!images.empty()) out["images"] = std::move(images);
        return {};
    }

    static Result<json::value> read_image(const json::object& part, const std::string& at) {
        constexpr std::string_view kMark = ";base64,";
        if (text_at(part, "type") != "image_url") {
            return cannot(kOllamaKind, at, "be sent this kind of content",
                          "text and images in base64 go");
        }
        const json::object* image = object_at(part, "image_url");
        const std::string_view url = image != nullptr ? text_at(*image, "url") : "";
        const std::size_t mark = url.find(kMark);
        if (!url.starts_with("data:") || mark == std::string_view::npos) {
            return cannot(kOllamaKind, at, "fetch an image by its address",
                          "send the image itself as a data: URI in base64");
        }
        return json::value(url.substr(mark + kMark.size()));
    }

    Result<json::array> translate_calls(const json::array& calls, const std::string& where) {
        json::array out;
        for (std::size_t i = 0; i < calls.size(); ++i) {
            const std::string at = format("{}.tool_calls[{}]", where, i);
            const json::object* call = calls[i].if_object();
            const json::object* function = call != nullptr ? object_at(*call, "function") : nullptr;
            if (function == nullptr) return must_be(at, "a call of a function");
            const std::string_view name = text_at(*function, "name");
            const std::string_view id = text_at(*call, "id");
            TRY(json::object arguments, read_arguments(*function, at));
            if (!id.empty()) tools_[std::string(id)] = name;
            json::object translated{
                {"function", {{"index", i}, {"name", name}, {"arguments", std::move(arguments)}}}};
            if (!id.empty()) translated["id"] = id;
            out.push_back(std::move(translated));
        }
        return out;
    }

    static Result<json::object> read_arguments(const json::object& function,
                                               const std::string& at) {
        if (const json::object* object = object_at(function, "arguments")) return *object;
        const std::string_view text = text_at(function, "arguments");
        if (text.empty()) return json::object();
        boost::system::error_code failed;
        json::value parsed = json::parse(text, failed);
        if (failed || !parsed.is_object()) {
            return must_be(at + ".function.arguments", "a JSON object as text");
        }
        return std::move(parsed.get_object());
    }

    void name_tool(const json::object& message, json::object& out) {
        const std::string id(text_at(message, "tool_call_id"));
        if (!id.empty()) out["tool_call_id"] = id;
        const auto known = tools_.find(id);
        const std::string_view given = text_at(message, "name");
        if (known != tools_.end()) {
            out["tool_name"] = known->second;
        } else if (!given.empty()) {
            out["tool_name"] = given;
        }
    }

    std::map<std::string, std::string> tools_;  // by the id of their call
};

}  // namespace

Result<json::array> ollama_messages(const json::array& messages) {
    OllamaMessages translator;
    json::array out;
    for (std::size_t i = 0; i < messages.size(); ++i) {
        const std::string where = format("messages[{}]", i);
        const json::object* message = messages[i].if_object();
        if (message == nullptr || text_at(*message, "role").empty()) {
            return must_be(where, "an object with a role");
        }
        TRY(json::object translated, translator.translate(*message, where));
        out.push_back(std::move(translated));
    }
    return out;
}

}  // namespace hearth::remote
