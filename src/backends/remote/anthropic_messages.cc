// A conversation in OpenAI's words as one in Anthropic's: the system's texts apart, turns of one
// role merged, results of tools in the user's turn.
#include <boost/json.hpp>
#include <string>
#include <utility>

#include "backends/remote/anthropic_request.h"
#include "backends/remote/members.h"
#include "backends/remote/wire_json.h"
#include "base/format.h"

namespace hearth::remote {
namespace {

namespace json = boost::json;

void add_text(json::array& blocks, std::string_view text) {
    // The API refuses an empty block.
    if (!text.empty()) blocks.push_back({{"type", "text"}, {"text", text}});
}

Result<json::object> image_block(const json::object& part, const std::string& at) {
    constexpr std::string_view kBegin = "data:";
    constexpr std::string_view kMark = ";base64,";
    const json::object* image = object_at(part, "image_url");
    const std::string_view url = image != nullptr ? text_at(*image, "url") : "";
    if (url.starts_with("https://")) {
        return json::object{{"type", "image"}, {"source", {{"type", "url"}, {"url", url}}}};
    }
    const std::size_t mark = url.find(kMark);
    if (!url.starts_with(kBegin) || mark == std::string_view::npos) {
        return cannot(kAnthropicKind, at, "read an image of this form",
                      "a data: URI in base64 or an https: address goes");
    }
    json::object source{{"type", "base64"},
                        {"media_type", url.substr(kBegin.size(), mark - kBegin.size())},
                        {"data", url.substr(mark + kMark.size())}};
    return json::object{{"type", "image"}, {"source", std::move(source)}};
}

// A content that is a text or a list of parts.
Result<json::array> content_blocks(const json::object& message, const std::string& where) {
    json::array blocks;
    add_text(blocks, text_at(message, "content"));
    const json::array* parts = list_at(message, "content");
    if (parts == nullptr) return blocks;
    for (std::size_t i = 0; i < parts->size(); ++i) {
        const std::string at = format("{}.content[{}]", where, i);
        const json::object* part = (*parts)[i].if_object();
        if (part == nullptr) return must_be(at, "an object");
        const std::string_view type = text_at(*part, "type");
        if (type == "text") {
            add_text(blocks, text_at(*part, "text"));
        } else if (type == "image_url") {
            TRY(json::object image, image_block(*part, at));
            blocks.push_back(std::move(image));
        } else {
            return cannot(kAnthropicKind, at, "be sent this kind of content", "text and images go");
        }
    }
    return blocks;
}

Result<json::object> call_block(const json::value& value, const std::string& at) {
    const json::object* call = value.if_object();
    const json::object* function = call != nullptr ? object_at(*call, "function") : nullptr;
    if (function == nullptr) return must_be(at, "a call of a function");
    const std::string_view text = text_at(*function, "arguments");
    json::value input = json::object();
    if (!text.empty()) {
        boost::system::error_code failed;
        input = json::parse(text, failed);
        if (failed || !input.is_object()) {
            return must_be(at + ".function.arguments", "a JSON object as text");
        }
    }
    return json::object{{"type", "tool_use"},
                        {"id", text_at(*call, "id")},
                        {"name", text_at(*function, "name")},
                        {"input", std::move(input)}};
}

class Turns {
  public:
    Result<void> add(const json::object& message, const std::string& where) {
        const std::string_view role = text_at(message, "role");
        if (role == "system" || role == "developer") {
            TRY(json::array blocks, content_blocks(message, where));
            append(system_, std::move(blocks));
            return {};
        }
        if (role == "tool") return add_result(message, where);
        if (role == "assistant") return add_assistant(message, where);
        if (role != "user") return must_be(where + ".role", "system, user, assistant or tool");
        TRY(json::array blocks, content_blocks(message, where));
        add_turn("user", std::move(blocks));
        return {};
    }
    void put(json::object& body) {
        if (!system_.empty()) body["system"] = std::move(system_);
        body["messages"] = std::move(turns_);
    }
    bool empty() const { return turns_.empty(); }

  private:
    static void append(json::array& to, json::array from) {
        for (json::value& block : from) to.push_back(std::move(block));
    }

    void add_turn(std::string_view role, json::array blocks) {
        if (blocks.empty()) return;
        if (!turns_.empty() && turns_.back().at("role").get_string() == role) {
            append(turns_.back().at("content").get_array(), std::move(blocks));
        } else {
            turns_.push_back({{"role", role}, {"content", std::move(blocks)}});
        }
    }

    Result<void> add_result(const json::object& message, const std::string& where) {
        TRY(json::array content, content_blocks(message, where));
        json::object result{{"type", "tool_result"},
                            {"tool_use_id", text_at(message, "tool_call_id")}};
        if (!content.empty()) result["content"] = std::move(content);
        add_turn("user", json::array(1, json::value(std::move(result))));
        return {};
    }

    Result<void> add_assistant(const json::object& message, const std::string& where) {
        json::array blocks;
        // Thinking without its signature is refused: it stays out, as it does in a new turn.
        const std::string_view signature = text_at(message, "reasoning_signature");
        if (!signature.empty()) {
            blocks.push_back({{"type", "thinking"},
                              {"thinking", text_at(message, "reasoning_content")},
                              {"signature", signature}});
        }
        TRY(json::array said, content_blocks(message, where));
        append(blocks, std::move(said));
        if (const json::array* calls = list_at(message, "tool_calls")) {
            for (std::size_t i = 0; i < calls->size(); ++i) {
                const std::string at = format("{}.tool_calls[{}]", where, i);
                TRY(json::object call, call_block((*calls)[i], at));
                blocks.push_back(std::move(call));
            }
        }
        add_turn("assistant", std::move(blocks));
        return {};
    }

    json::array system_;
    json::array turns_;
};

bool has_block(const json::value& turn, std::string_view type) {
    for (const json::value& block : turn.at("content").get_array()) {
        if (block.at("type").get_string() == type) return true;
    }
    return false;
}

}  // namespace

Result<void> set_conversation(const json::array& messages, json::object& body) {
    Turns turns;
    for (std::size_t i = 0; i < messages.size(); ++i) {
        const std::string where = format("messages[{}]", i);
        const json::object* message = messages[i].if_object();
        if (message == nullptr) return must_be(where, "an object with a role");
        TRY_VOID(turns.add(*message, where));
    }
    if (turns.empty()) return must_be("messages", "a list with a message of the user");
    turns.put(body);
    return {};
}

bool may_think(const json::array& translated) {
    for (auto turn = translated.rbegin(); turn != translated.rend(); ++turn) {
        if (turn->at("role").get_string() == "assistant") {
            return !has_block(*turn, "tool_use") || has_block(*turn, "thinking");
        }
        if (!has_block(*turn, "tool_result")) return true;
    }
    return true;
}

}  // namespace hearth::remote
