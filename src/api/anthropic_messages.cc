#include "api/anthropic_messages.h"

#include <algorithm>
#include <array>
#include <boost/json.hpp>
#include <string>
#include <string_view>
#include <utility>

#include "api/json_body.h"
#include "base/format.h"

namespace hearth::api::anthropic {
namespace {

namespace json = boost::json;

constexpr std::size_t kMessagesMax = 100'000;
constexpr std::size_t kBlocksMax = 10'000;  // of one message, or of one result

constexpr std::array<std::string_view, 4> kImageTypes = {"image/jpeg", "image/png", "image/gif",
                                                         "image/webp"};

std::unexpected<Error> not_offered(const std::string& where, std::string_view what) {
    return fail(
        {.code = Code::Unsupported, .message = format("{} {}", where, what), .param = where});
}

Result<std::string> need_text(const json::object& block, std::string_view name,
                              const std::string& where) {
    const json::value* text = find(block, name);
    if (text != nullptr && text->is_string()) return std::string(text->get_string());
    return fail(must_be(format("{}.{}", where, name), "a string"));
}

Result<std::string> need_name(const json::object& block, std::string_view name,
                              const std::string& where) {
    std::string text = text_of(block, name);
    if (!text.empty()) return text;
    return fail(must_be(format("{}.{}", where, name), "a string that is not empty"));
}

Result<const json::object*> need_object(const json::object& block, std::string_view name,
                                        const std::string& where) {
    const json::value* value = find(block, name);
    if (value != nullptr && value->is_object()) return &value->get_object();
    return fail(must_be(format("{}.{}", where, name), "an object"));
}

// A list of blocks, each of which is an object.
Result<const json::array*> need_blocks(const json::value* value, const std::string& where) {
    const json::array* blocks = value != nullptr ? value->if_array() : nullptr;
    if (blocks == nullptr || blocks->size() > kBlocksMax) {
        return fail(must_be(where, format("a string or a list of at most {} blocks", kBlocksMax)));
    }
    for (std::size_t i = 0; i < blocks->size(); ++i) {
        if (!(*blocks)[i].is_object())
            return fail(must_be(format("{}[{}]", where, i), "an object"));
    }
    return blocks;
}

// An image by its address would have the engine fetch what a stranger names.
Result<std::string> image_uri(const json::object& block, const std::string& where) {
    TRY(const json::object* source, need_object(block, "source", where));
    const std::string inner = where + ".source";
    const std::string type = text_of(*source, "type");
    if (type == "url" || type == "file") {
        return not_offered(inner,
                           "names an image that is elsewhere; nothing is fetched: send the image "
                           "itself as a source of type \"base64\"");
    }
    if (type != "base64") return fail(must_be(inner + ".type", "\"base64\""));
    const std::string media = text_of(*source, "media_type");
    if (std::ranges::find(kImageTypes, media) == kImageTypes.end()) {
        return fail(must_be(inner + ".media_type",
                            R"("image/jpeg", "image/png", "image/gif" or "image/webp")"));
    }
    TRY(const std::string data, need_name(*source, "data", inner));
    return format("data:{};base64,{}", media, data);
}

// Where blocks stand: documents hold texts and images, and no documents.
enum class Level : std::uint8_t { Outer, Inner };

// The parts of one content, in the words of the canonical request.
class Parts {
  public:
    bool has_images() const { return has_images_; }
    bool empty() const { return list_.empty(); }
    void add_text(std::string_view text) { list_.push_back({{"type", "text"}, {"text", text}}); }

    // False: not one of the types that this reads.
    Result<bool> add(const json::object& block, Level level, const std::string& where) {
        const std::string type = text_of(block, "type");
        if (type == "text") {
            TRY(const std::string text, need_text(block, "text", where));
            add_text(text);
            return true;
        }
        if (type == "image") {
            TRY(const std::string uri, image_uri(block, where));
            list_.push_back({{"type", "image_url"}, {"image_url", {{"url", uri}}}});
            has_images_ = true;
            return true;
        }
        if (level == Level::Inner || (type != "document" && type != "search_result")) return false;
        TRY_VOID(type == "document" ? add_document(block, where) : add_found(block, where));
        return true;
    }

    // A text, or blocks.
    Result<void> add_content(const json::value* content, Level level, const std::string& where) {
        if (content != nullptr && content->is_string()) {
            add_text(content->get_string());
            return {};
        }
        TRY(const json::array* blocks, need_blocks(content, where));
        for (std::size_t i = 0; i < blocks->size(); ++i) {
            const std::string at = format("{}[{}]", where, i);
            TRY(const bool known, add((*blocks)[i].get_object(), level, at));
            if (known) continue;
            return fail(
                must_be(at + ".type", level == Level::Inner
                                          ? R"("text" or "image")"
                                          : R"("text", "image", "document" or "search_result")"));
        }
        return {};
    }

    // Engines know no other sign of it.
    void mark_as_error() {
        constexpr std::string_view kMark = "Error: ";
        if (empty() || list_[0].at("type") != "text") {
            list_.insert(list_.begin(), json::value{{"type", "text"}, {"text", kMark}});
            return;
        }
        json::string& text = list_[0].at("text").as_string();
        text.insert(0, kMark);
    }

    // One text stands as it is: templates that know no parts are the most.
    json::value take() {
        json::array list = std::exchange(list_, {});
        if (list.empty()) return "";
        if (list.size() == 1 && list[0].at("type") == "text") return std::move(list[0].at("text"));
        return list;
    }

  private:
    Result<void> add_document(const json::object& block, const std::string& where) {
        TRY(const json::object* source, need_object(block, "source", where));
        const std::string inner = where + ".source";
        const std::string type = text_of(*source, "type");
        if (type == "url" || type == "file") {
            return not_offered(inner,
                               "names a document that is elsewhere; nothing is fetched: send its "
                               "text as a source of type \"text\"");
        }
        if (type == "base64") {
            return not_offered(inner,
                               "is a PDF file, which is not read here; send its text as a source "
                               "of type \"text\", or its pages as images");
        }
        add_heading(text_of(block, "title"), text_of(block, "context"));
        if (type == "content") {
            return add_content(find(*source, "content"), Level::Inner, inner + ".content");
        }
        if (type != "text") return fail(must_be(inner + ".type", R"("text" or "content")"));
        TRY(const std::string data, need_text(*source, "data", inner));
        add_text(data);
        return {};
    }

    Result<void> add_found(const json::object& block, const std::string& where) {
        add_heading(text_of(block, "title"), text_of(block, "source"));
        return add_content(find(block, "content"), Level::Inner, where + ".content");
    }

    void add_heading(const std::string& title, const std::string& more) {
        const std::string between = title.empty() || more.empty() ? "" : "\n";
        if (const std::string heading = title + between + more; !heading.empty()) add_text(heading);
    }

    json::array list_;
    bool has_images_ = false;
};

// An agent's stamp in its system prompt changes with each request; with it no prompt would begin as
// the one before, and nothing of that one could be used again.
std::string without_stamp(std::string text) {
    if (!text.starts_with("x-anthropic-billing-header:")) return text;
    const std::size_t begin = text.find(" cch=");
    const std::size_t end = begin == std::string::npos ? begin : text.find(';', begin);
    if (end == std::string::npos || end > text.find('\n')) return text;
    return text.erase(begin, end + 1 - begin);
}

Result<std::string> read_system(const json::value& system) {
    if (system.is_string()) return without_stamp(std::string(system.get_string()));
    TRY(const json::array* blocks, need_blocks(&system, "system"));
    std::string text;
    for (std::size_t i = 0; i < blocks->size(); ++i) {
        const json::object& block = (*blocks)[i].get_object();
        const std::string where = format("system[{}]", i);
        if (text_of(block, "type") != "text") return fail(must_be(where + ".type", "\"text\""));
        TRY(const std::string more, need_text(block, "text", where));
        text += (text.empty() ? "" : "\n\n") + without_stamp(more);
    }
    return text;
}

// Blocks that tell what a tool did which ran beside Anthropic's models.
bool is_of_their_servers(std::string_view type) {
    return type == "server_tool_use" || type.starts_with("mcp_tool_") ||
           type.ends_with("_tool_result") || type == "container_upload";
}

class Translator {
  public:
    void add_system(std::string_view text) {
        if (!text.empty()) out_.messages.push_back({{"role", "system"}, {"content", text}});
    }

    Result<void> add_message(const json::object& message, const std::string& where) {
        const std::string role = text_of(message, "role");
        if (role != "user" && role != "assistant" && role != "system") {
            return fail(must_be(where + ".role", R"("user" or "assistant")"));
        }
        if (role != turn_.role) {
            flush();
            turn_.role = role;
        }
        const json::value* content = find(message, "content");
        if (content != nullptr && content->is_string()) {
            turn_.parts.add_text(content->get_string());
            return {};
        }
        TRY(const json::array* blocks, need_blocks(content, where + ".content"));
        if (blocks->empty() && role != "assistant") {
            return fail(must_be(where + ".content", "a string or a list of at least one block"));
        }
        for (std::size_t i = 0; i < blocks->size(); ++i) {
            TRY_VOID(
                reserve(add_block((*blocks)[i].get_object(), format("{}.content[{}]", where, i))));
        }
        return {};
    }

    Conversation finish() {
        flush();
        return std::move(out_);
    }

  private:
    // What messages of one role that follow each other have said so far.
    struct Turn {
        std::string role;
        Parts parts;
        json::array results;  // messages, each a result
        json::array calls;
        std::string reasoning;
        std::string signature;     // of the first block of thinking
        std::size_t thoughts = 0;  // blocks of thinking
    };

    // What is not offered here may be by who takes the call as it is.
    Result<void> reserve(Result<void> added) {
        if (added || added.error().code != Code::Unsupported) return added;
        if (!out_.untranslatable) out_.untranslatable = std::move(added).error();
        return {};
    }

    Result<void> add_block(const json::object& block, const std::string& where) {
        const std::string type = text_of(block, "type");
        if (turn_.role == "user" && type == "tool_result") return add_result(block, where);
        if (turn_.role == "assistant" && type == "tool_use") return add_call(block, where);
        if (turn_.role == "assistant" && type == "redacted_thinking") return {};
        if (turn_.role == "assistant" && type == "thinking") {
            return add_thinking(block, where);
        }
        TRY(const bool known, turn_.parts.add(block, Level::Outer, where));
        if (known) return {};
        if (is_of_their_servers(type) && type != "tool_result") {
            return not_offered(where, format("has the type \"{}\", of a tool that runs inside "
                                             "Anthropic's servers; here run none",
                                             type.substr(0, 60)));
        }
        return fail(must_be(where + ".type",
                            turn_.role == "assistant"
                                ? R"("text", "thinking", "redacted_thinking" or "tool_use" )"
                                  "where the assistant speaks"
                                : R"("text", "image", "document", "search_result" or )"
                                  R"("tool_result" where the user speaks)"));
    }

    Result<void> add_thinking(const json::object& block, const std::string& where) {
        TRY(const std::string thinking, need_text(block, "thinking", where));
        turn_.reasoning += thinking;
        std::string signature = text_of(block, "signature");
        if (signature == kOwnSignature) {
            out_.has_own_thinking = true;
            signature.clear();
        }
        if (turn_.thoughts++ == 0) turn_.signature = std::move(signature);
        return {};
    }

    Result<void> add_call(const json::object& block, const std::string& where) {
        TRY(const std::string id, need_name(block, "id", where));
        TRY(const std::string name, need_name(block, "name", where));
        TRY(const json::object* input, need_object(block, "input", where));
        const json::object function{{"name", name}, {"arguments", json::serialize(*input)}};
        turn_.calls.push_back({{"id", id}, {"type", "function"}, {"function", function}});
        return {};
    }

    Result<void> add_result(const json::object& block, const std::string& where) {
        TRY(const std::string id, need_name(block, "tool_use_id", where));
        Parts parts;
        if (const json::value* content = find(block, "content")) {
            TRY_VOID(parts.add_content(content, Level::Outer, where + ".content"));
        }
        if (flag_at(block, "is_error")) parts.mark_as_error();
        out_.has_images = out_.has_images || parts.has_images();
        turn_.results.push_back(
            {{"role", "tool"}, {"tool_call_id", id}, {"content", parts.take()}});
        return {};
    }

    // Templates want a result right behind its call.
    void flush() {
        Turn turn = std::exchange(turn_, {});
        for (json::value& result : turn.results) out_.messages.push_back(std::move(result));
        // It holds for one block as it was, not for several put together.
        if (turn.thoughts != 1) turn.signature.clear();
        const bool thought = !turn.reasoning.empty() || !turn.signature.empty();
        if (turn.parts.empty() && turn.calls.empty() && !thought) return;
        out_.has_images = out_.has_images || turn.parts.has_images();
        json::object message{{"role", turn.role}, {"content", turn.parts.take()}};
        if (thought) message["reasoning_content"] = turn.reasoning;
        if (!turn.signature.empty()) message["reasoning_signature"] = turn.signature;
        if (!turn.calls.empty()) message["tool_calls"] = std::move(turn.calls);
        out_.messages.push_back(std::move(message));
    }

    Conversation out_;
    Turn turn_;
};

}  // namespace

Result<Conversation> translate_conversation(const json::object& body) {
    const json::value* found = find(body, "messages");
    const json::array* messages = found != nullptr ? found->if_array() : nullptr;
    if (messages == nullptr || messages->empty() || messages->size() > kMessagesMax) {
        return fail(must_be("messages", format("a list of 1 to {} messages", kMessagesMax)));
    }
    Translator translator;
    if (const json::value* system = find(body, "system")) {
        TRY(const std::string text, read_system(*system));
        translator.add_system(text);
    }
    for (std::size_t i = 0; i < messages->size(); ++i) {
        const std::string where = format("messages[{}]", i);
        const json::object* message = (*messages)[i].if_object();
        if (message == nullptr) return fail(must_be(where, "an object"));
        TRY_VOID(translator.add_message(*message, where));
    }
    return translator.finish();
}

}  // namespace hearth::api::anthropic
