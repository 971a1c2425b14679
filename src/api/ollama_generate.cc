#include "api/ollama_generate.h"

#include <algorithm>
#include <array>
#include <boost/json.hpp>

#include "api/bare_text.h"
#include "api/json_body.h"
#include "api/model_defaults.h"
#include "api/ollama.h"
#include "base/format.h"

namespace hearth::api::ollama {
namespace {

namespace json = boost::json;
using inference::GenerateRequest;
using inference::Operation;

constexpr std::size_t kMessagesMax = 10'000;
constexpr std::size_t kToolsMax = 1024;

constexpr std::array kCommon = {
    Member{"stream", Kind::Flag},   Member{"options", Kind::Object},
    Member{"truncate", Kind::Flag}, Member{"shift", Kind::Flag},
    Member{"logprobs", Kind::Flag}, Member{"top_logprobs", Kind::Whole, 0, 20},
    Member{"model", Kind::Text},    Member{"name", Kind::Text},
};
constexpr std::array kGenerate = {
    Member{"prompt", Kind::Text},   Member{"suffix", Kind::Text}, Member{"system", Kind::Text},
    Member{"template", Kind::Text}, Member{"raw", Kind::Flag},    Member{"images", Kind::List},
    Member{"context", Kind::List},
};
constexpr std::array kChat = {
    Member{"messages", Kind::List},
    Member{"tools", Kind::List},
};

Error bad(std::string param, std::string message) {
    return {
        .code = Code::InvalidArgument, .message = std::move(message), .param = std::move(param)};
}

Result<void> read_model(const json::object& body, TextCall& call) {
    call.request.model = text_of(body, "model");
    if (call.request.model.empty()) call.request.model = text_of(body, "name");
    if (call.request.model.empty()) return fail(bad("model", "model is required"));
    return {};
}

Result<void> read_keep_alive(const json::object& body, TextCall& call) {
    const json::value* value = find(body, "keep_alive");
    if (value == nullptr) return {};
    if (value->is_number()) {
        call.request.keep_alive = keep_for_seconds(value->to_number<double>());
        return {};
    }
    if (value->is_string()) {
        if (const auto time = parse_duration(value->get_string())) {
            call.request.keep_alive = *time;
            return {};
        }
    }
    return fail(
        must_be("keep_alive", "a duration like \"5m\" or \"1h30m\", or a number of seconds"));
}

// "json", or a schema. Needs to know the operation: only a chat has a response_format.
Result<void> read_format(const json::object& body, GenerateRequest& request) {
    const json::value* given = find(body, "format");
    if (given == nullptr || (given->is_string() && given->get_string().empty())) return {};
    const bool any = given->is_string() && given->get_string() == "json";
    if (!any && !given->is_object()) return fail(must_be("format", "\"json\" or a JSON schema"));
    const json::value schema = any ? json::value({{"type", "object"}}) : *given;
    if (request.operation != Operation::Chat) {
        request.body["json_schema"] = schema;
    } else if (any) {
        request.body["response_format"] = {{"type", "json_object"}};
    } else {
        request.body["response_format"] = {
            {"type", "json_schema"}, {"json_schema", {{"name", "answer"}, {"schema", schema}}}};
    }
    return {};
}

// As above. Engines tell of no token at all when asked for no alternatives.
void read_logprobs(const json::object& body, TextCall& call) {
    if (!flag_at(body, "logprobs")) return;
    const json::value* top = find(body, "top_logprobs");
    call.top_logprobs = top != nullptr ? top->to_number<std::size_t>() : 0;
    const std::size_t asked = std::max<std::size_t>(1, call.top_logprobs);
    json::object& to = call.request.body;
    if (call.request.operation == Operation::Chat) {
        to["logprobs"] = true;
        to["top_logprobs"] = asked;
    } else {
        to["n_probs"] = asked;
    }
}

Result<void> read_think(const json::object& body, TextCall& call) {
    const json::value* think = find(body, "think");
    if (think == nullptr) return {};
    json::object& to = call.request.body;
    if (think->is_bool()) {
        call.wants_thinking = think->get_bool();
        call.hides_thinking = !think->get_bool();
        to["chat_template_kwargs"] = {{"enable_thinking", think->get_bool()}};
        if (call.hides_thinking) to["reasoning_effort"] = "none";
        return {};
    }
    constexpr std::array<std::string_view, 4> kLevels = {"low", "medium", "high", "max"};
    if (!think->is_string() ||
        std::ranges::find(kLevels, std::string_view(think->get_string())) == kLevels.end()) {
        return fail(must_be("think", "true, false, \"low\", \"medium\", \"high\" or \"max\""));
    }
    call.wants_thinking = true;
    to["chat_template_kwargs"] = {{"enable_thinking", true}};
    to["reasoning_effort"] = *think;
    return {};
}

Result<TextCall> read_common(const json::object& body) {
    TextCall call;
    TRY_VOID(check_members(body, kCommon));
    TRY_VOID(read_model(body, call));
    TRY_VOID(read_keep_alive(body, call));
    call.stream = flag_at(body, "stream", true);
    call.truncate = flag_at(body, "truncate", true);
    if (const json::value* options = find(body, "options")) {
        TRY_VOID(apply_options(options->get_object(), call.request));
    }
    return call;
}

// Its first characters tell what an image is; the engine looks for itself.
std::string data_uri(std::string_view base64) {
    if (base64.starts_with("data:")) return std::string(base64);
    std::string_view type = "jpeg";
    if (base64.starts_with("iVBOR")) type = "png";
    if (base64.starts_with("UklGR")) type = "webp";
    if (base64.starts_with("R0lGO")) type = "gif";
    return format("data:image/{};base64,{}", type, base64);
}

// The content of a message: its text, or parts where it has images.
Result<json::value> content_of(std::string_view text, const json::value* images,
                               const std::string& where) {
    if (images == nullptr || (images->is_array() && images->get_array().empty())) {
        return json::value(text);
    }
    json::array parts;
    if (!images->is_array()) return fail(must_be(where + "images", "a list of base64 texts"));
    for (const json::value& image : images->get_array()) {
        if (!image.is_string()) return fail(must_be(where + "images", "a list of base64 texts"));
        parts.push_back(
            {{"type", "image_url"}, {"image_url", {{"url", data_uri(image.get_string())}}}});
    }
    if (!text.empty()) parts.push_back({{"type", "text"}, {"text", text}});
    return json::value(std::move(parts));
}

// Translates a list of messages. This dialect has arguments as objects and may name a tool's result
// by the tool, where the other has texts and ids.
class Translator {
  public:
    Result<json::array> translate(const json::array& messages) {
        json::array out;
        for (std::size_t i = 0; i < messages.size(); ++i) {
            const std::string where = format("messages[{}].", i);
            if (!messages[i].is_object()) return fail(must_be(where + "role", "a string"));
            TRY(json::object message, one(messages[i].get_object(), where));
            out.push_back(std::move(message));
        }
        return out;
    }
    bool has_images() const { return has_images_; }

  private:
    Result<json::object> one(const json::object& message, const std::string& where) {
        const std::string role = text_of(message, "role");
        if (role.empty()) return fail(must_be(where + "role", "a string"));
        for (const char* text : {"content", "thinking", "tool_name", "tool_call_id"}) {
            const json::value* value = find(message, text);
            if (value != nullptr && !value->is_string())
                return fail(must_be(where + text, "a string"));
        }
        const json::value* images = find(message, "images");
        has_images_ = has_images_ ||
                      (images != nullptr && images->is_array() && !images->get_array().empty());
        json::object out{{"role", role}};
        TRY(out["content"], content_of(text_of(message, "content"), images, where));
        if (const std::string thinking = text_of(message, "thinking"); !thinking.empty()) {
            out["reasoning_content"] = thinking;
        }
        if (const json::value* calls = find(message, "tool_calls")) {
            TRY(out["tool_calls"], translate_calls(*calls, where));
        }
        if (role == "tool") name_result(message, out);
        return out;
    }

    Result<json::value> translate_calls(const json::value& calls, const std::string& where) {
        if (!calls.is_array()) return fail(must_be(where + "tool_calls", "a list"));
        json::array out;
        open_.clear();
        for (const json::value& call : calls.get_array()) {
            const json::value* function =
                call.is_object() ? find(call.get_object(), "function") : nullptr;
            if (function == nullptr || !function->is_object() ||
                text_of(function->get_object(), "name").empty()) {
                return fail(must_be(where + "tool_calls", "a list of functions with a name"));
            }
            std::string id = text_of(call.get_object(), "id");
            if (id.empty()) id = format("call_{}", ++calls_seen_);
            const std::string name = text_of(function->get_object(), "name");
            open_.emplace_back(name, id);
            const json::value* arguments = find(function->get_object(), "arguments");
            const json::value given = arguments != nullptr ? *arguments : json::object();
            out.push_back({{"id", id},
                           {"type", "function"},
                           {"function",
                            {{"name", name},
                             {"arguments", given.is_string() ? std::string(given.get_string())
                                                             : json::serialize(given)}}}});
        }
        return json::value(std::move(out));
    }

    // To the first call that has no result yet, of that tool when it says which.
    void name_result(const json::object& message, json::object& out) {
        std::string id = text_of(message, "tool_call_id");
        const std::string tool = text_of(message, "tool_name");
        const auto call = std::ranges::find_if(open_, [&](const auto& open) {
            return id.empty() ? tool.empty() || open.first == tool : open.second == id;
        });
        if (call != open_.end()) {
            id = call->second;
            open_.erase(call);
        }
        out["tool_call_id"] = id.empty() ? "call_0" : id;
        if (!tool.empty()) out["name"] = tool;
    }

    bool has_images_ = false;
    std::size_t calls_seen_ = 0;
    std::vector<std::pair<std::string, std::string>> open_;  // tool and id of calls without result
};

Result<void> refuse_unserved(const json::object& body) {
    if (!text_of(body, "template").empty()) {
        return fail(bad("template",
                        "a template of the call's own is not run; set raw to true and send the "
                        "prompt as the model is to read it"));
    }
    const json::value* context = find(body, "context");
    if (context == nullptr || context->get_array().empty()) return {};
    return fail(bad("context",
                    "context is deprecated and not kept here; send the conversation to /api/chat"));
}

Result<void> take_prompt(const json::object& body, TextCall& call) {
    json::object& to = call.request.body;
    const std::string prompt = text_of(body, "prompt");
    const json::value* images = find(body, "images");
    call.wants_images = images != nullptr && !images->get_array().empty();
    if (find(body, "suffix") != nullptr && !text_of(body, "suffix").empty()) {
        call.request.operation = Operation::Infill;
        to["input_prefix"] = prompt;
        to["input_suffix"] = body.at("suffix");
        return {};
    }
    if (flag_at(body, "raw")) {
        call.request.operation = Operation::Completion;
        to["prompt"] = prompt;
        return {};
    }
    json::array messages;
    if (const std::string system = text_of(body, "system"); !system.empty()) {
        messages.push_back({{"role", "system"}, {"content", system}});
    }
    TRY(json::value content, content_of(prompt, images, ""));
    messages.push_back({{"role", "user"}, {"content", std::move(content)}});
    to["messages"] = std::move(messages);
    return {};
}

Result<void> read_tools(const json::object& body, TextCall& call) {
    const json::value* tools = find(body, "tools");
    if (tools == nullptr || tools->get_array().empty()) return {};
    const json::array& list = tools->get_array();
    if (list.size() > kToolsMax) {
        return fail(must_be("tools", format("a list of at most {} tools", kToolsMax)));
    }
    json::array out;
    for (std::size_t i = 0; i < list.size(); ++i) {
        const json::value* function =
            list[i].is_object() ? find(list[i].get_object(), "function") : nullptr;
        const bool sound = function != nullptr && function->is_object() &&
                           !text_of(function->get_object(), "name").empty();
        if (!sound) return fail(must_be(format("tools[{}]", i), "a function with a name"));
        json::object tool = list[i].get_object();
        tool["type"] = "function";  // optional here, required by engines
        out.push_back(std::move(tool));
    }
    call.wants_tools = true;
    call.request.body["tools"] = std::move(out);
    return {};
}

bool has_capability(const models::Model& model, std::string_view name) {
    return std::ranges::find(model.capabilities, name) != model.capabilities.end();
}

}  // namespace

Result<TextCall> parse_generate(std::string_view text) {
    TRY(const json::object body, read_object(text));
    TRY_VOID(check_members(body, kGenerate));
    TRY_VOID(refuse_tools(body, "/api/chat"));
    TRY(TextCall call, read_common(body));
    TRY_VOID(read_think(body, call));
    TRY_VOID(refuse_unserved(body));
    TRY_VOID(take_prompt(body, call));
    TRY_VOID(read_format(body, call.request));
    read_logprobs(body, call);
    call.load_only = text_of(body, "prompt").empty() && !call.wants_images &&
                     call.request.operation != Operation::Infill;
    return call;
}

Result<TextCall> parse_chat(std::string_view text) {
    TRY(const json::object body, read_object(text));
    TRY_VOID(check_members(body, kChat));
    TRY(TextCall call, read_common(body));
    call.chat = true;
    TRY_VOID(read_think(body, call));
    TRY_VOID(read_format(body, call.request));
    read_logprobs(body, call);
    const json::value* messages = find(body, "messages");
    if (messages == nullptr || messages->get_array().empty()) {
        call.load_only = true;
        return call;
    }
    if (messages->get_array().size() > kMessagesMax) {
        return fail(must_be("messages", format("a list of at most {} messages", kMessagesMax)));
    }
    Translator translator;
    TRY(call.request.body["messages"], translator.translate(messages->get_array()));
    call.wants_images = translator.has_images();
    TRY_VOID(read_tools(body, call));
    return call;
}

void apply_dialect_defaults(GenerateRequest& request) {
    static const json::object kDefaults = {{"temperature", 0.8},
                                           {"top_k", 40},
                                           {"top_p", 0.9},
                                           {"min_p", 0.0},
                                           {"typical_p", 1.0},
                                           {"repeat_last_n", 64},
                                           {"repeat_penalty", 1.0},
                                           {"presence_penalty", 0.0},
                                           {"frequency_penalty", 0.0}};
    for (const auto& [name, value] : kDefaults) {
        if (find(request.body, name) == nullptr) request.body[name] = value;
    }
}

Result<void> check_capabilities(const TextCall& call, const models::Model& model) {
    const auto need = [&](bool wanted, std::string_view capability,
                          std::string_view what) -> Result<void> {
        if (!wanted || has_capability(model, capability)) return {};
        return fail(bad("model", format("{} does not support {}", model.name, what)));
    };
    TRY_VOID(need(call.wants_tools, "tools", "tools"));
    TRY_VOID(need(call.wants_images, "vision", "images"));
    TRY_VOID(need(call.wants_thinking, "thinking", "thinking"));
    TRY_VOID(need(call.request.operation == Operation::Infill, "insert", "insert"));
    return {};
}

}  // namespace hearth::api::ollama
