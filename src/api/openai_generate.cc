#include "api/openai_generate.h"

#include <algorithm>
#include <array>
#include <boost/json.hpp>
#include <utility>

#include "api/bare_text.h"
#include "api/json_body.h"
#include "api/openai_functions.h"
#include "api/openai_messages.h"
#include "base/format.h"

namespace hearth::api::openai {
namespace {

namespace json = boost::json;
using inference::Operation;

constexpr double kWholeMax = 2147483647;
constexpr double kChoicesMax = 128;  // of one prompt
constexpr std::size_t kToolsMax = 1024;
constexpr std::size_t kPromptsMax = 2048;
constexpr std::size_t kFieldsMax = 256;
constexpr std::string_view kChatRoute = "/v1/chat/completions";

constexpr std::array kSampling = {
    Member{"temperature", Kind::Number, 0, 100},
    Member{"top_p", Kind::Number, 0, 1},
    Member{"min_p", Kind::Number, 0, 1},
    Member{"typical_p", Kind::Number},
    Member{"top_k", Kind::Whole, -1, kWholeMax},
    Member{"presence_penalty", Kind::Number, -10, 10},
    Member{"frequency_penalty", Kind::Number, -10, 10},
    Member{"repeat_penalty", Kind::Number, 0, 100},
    Member{"repeat_last_n", Kind::Whole, -1, kWholeMax},
    Member{"seed", Kind::Whole},
    Member{"n", Kind::Whole, 1, kChoicesMax},
    Member{"n_cmpl", Kind::Whole, 1, kChoicesMax},
    Member{"n_probs", Kind::Whole, 0, kWholeMax},
    Member{"max_tokens", Kind::Whole, -1, kWholeMax},
    Member{"max_completion_tokens", Kind::Whole, -1, kWholeMax},
    Member{"n_predict", Kind::Whole, -1, kWholeMax},
    Member{"stream", Kind::Flag},
    Member{"stream_options", Kind::Object},
    Member{"model", Kind::Text},
    Member{"user", Kind::Text},
    Member{"grammar", Kind::Text},
};

constexpr std::array kChat = {
    Member{"messages", Kind::List},
    Member{"logprobs", Kind::Flag},
    Member{"top_logprobs", Kind::Whole, 0, 20},
    Member{"tools", Kind::List},
    Member{"functions", Kind::List},
    Member{"parallel_tool_calls", Kind::Flag},
    Member{"response_format", Kind::Object},
    Member{"reasoning_effort", Kind::Text},
    Member{"chat_template_kwargs", Kind::Object},
};

constexpr std::array kCompletion = {
    Member{"suffix", Kind::Text},
    Member{"echo", Kind::Flag},
    Member{"best_of", Kind::Whole, 1, kChoicesMax},
    Member{"logprobs", Kind::Whole, 0, 20},
};

constexpr std::array kInfill = {
    Member{"input_prefix", Kind::Text},
    Member{"input_suffix", Kind::Text},
    Member{"input_extra", Kind::List},
    Member{"prompt", Kind::Text},
};

// Members of llama-server's own form: the engine is asked for all, to know the end of its stream.
Result<void> take_fields(json::object& body, GenerateCall& call) {
    const json::value* fields = find(body, "response_fields");
    if (fields == nullptr) return {};
    bool sound = fields->is_array() && fields->get_array().size() <= kFieldsMax;
    if (sound) {
        for (const json::value& field : fields->get_array()) {
            sound = sound && field.is_string();
            if (sound) call.fields.emplace_back(field.get_string());
        }
    }
    if (!sound) {
        return fail(must_be("response_fields", format("a list of at most {} strings", kFieldsMax)));
    }
    body.erase("response_fields");
    return {};
}

void drop_nulls(json::object& body) {
    for (auto member = body.begin(); member != body.end();) {
        member = member->value().is_null() ? body.erase(member) : member + 1;
    }
}

std::size_t choices_of(const json::object& body) {
    for (const char* name : {"n_cmpl", "n"}) {
        const json::value* count = find(body, name);
        if (count != nullptr) return count->to_number<std::size_t>();
    }
    return 1;
}

bool wants_no_tokens(const json::object& body) {
    const json::value* limit = inference::tokens_limit_of(body);
    return limit != nullptr && limit->to_number<double>() == 0;
}

void take_stream_options(const json::object& body, GenerateCall& call) {
    json::object options;
    if (const json::value* given = find(body, "stream_options")) options = given->get_object();
    call.include_usage = flag_at(options, "include_usage");
    if (!call.stream || call.include_usage) return;
    options["include_usage"] = true;
    call.usage_wish = json::serialize(options);
}

// Takes what belongs to us out of the body. What is null is absent: engines do not all know that.
Result<GenerateCall> take_common(json::object body, Operation operation, Form form) {
    TRY_VOID(check_members(body, kSampling));
    TRY_VOID(check_stop(body));
    GenerateCall call;
    TRY_VOID(take_fields(body, call));
    call.request.operation = operation;
    call.form = form;
    call.request.model = text_of(body, "model");
    call.stream = flag_at(body, "stream");
    call.choices = choices_of(body);
    call.silent = wants_no_tokens(body);
    take_stream_options(body, call);
    for (const char* ours : {"model", "stream", "stream_options"}) body.erase(ours);
    drop_nulls(body);
    call.request.body = std::move(body);
    return call;
}

std::string tool_name(const json::value& tool) {
    const json::value* function = tool.is_object() ? find(tool.get_object(), "function") : nullptr;
    return function != nullptr && function->is_object() ? text_of(function->get_object(), "name")
                                                        : std::string();
}

// Engines know no choice of one tool: it is the only one they are told of.
Result<void> choose_tool(json::object& body, const std::string& name) {
    for (json::value& tool : body["tools"].get_array()) {
        if (tool_name(tool) != name) continue;
        json::value chosen = std::move(tool);
        body["tools"] = json::array(1, chosen);
        body["tool_choice"] = "required";
        return {};
    }
    return fail(must_be("tool_choice", "the name of one of the tools"));
}

Result<void> check_tool_choice(json::object& body) {
    const json::value* choice = find(body, "tool_choice");
    if (choice == nullptr) return {};
    if (choice->is_object()) {
        const std::string name = tool_name(*choice);
        if (!name.empty() && find(body, "tools") != nullptr) return choose_tool(body, name);
    }
    const std::string_view word = choice->is_string() ? std::string_view(choice->get_string()) : "";
    if (word == "required" && find(body, "tools") == nullptr) {
        return fail(must_be("tool_choice", "\"none\" or \"auto\" where there are no tools"));
    }
    if (word == "none" || word == "auto" || word == "required") return {};
    return fail(
        must_be("tool_choice",
                "\"none\", \"auto\", \"required\" or an object that names one of the tools"));
}

Result<void> take_tools(json::object& body) {
    const json::value* tools = find(body, "tools");
    if (tools != nullptr) {
        const json::array& list = tools->get_array();
        if (list.size() > kToolsMax) {
            return fail(must_be("tools", format("a list of at most {} tools", kToolsMax)));
        }
        for (std::size_t i = 0; i < list.size(); ++i) {
            if (!tool_name(list[i]).empty()) continue;
            return fail(must_be(format("tools[{}]", i), "a function with a name"));
        }
        if (list.empty()) body.erase("tools");
    }
    return check_tool_choice(body);
}

// Engines tell of no token at all when asked for no alternatives, and of twenty when asked nothing.
Result<void> take_chat_logprobs(GenerateCall& call) {
    json::object& body = call.request.body;
    const json::value* top = find(body, "top_logprobs");
    const std::size_t count = top != nullptr ? top->to_number<std::size_t>() : 0;
    if (flag_at(body, "logprobs")) {
        call.top_logprobs = count;
        body["top_logprobs"] = std::max<std::size_t>(1, count);
        return {};
    }
    if (count > 0) {
        return fail({.code = Code::InvalidArgument,
                     .message = "top_logprobs needs logprobs to be true",
                     .param = "top_logprobs"});
    }
    body.erase("logprobs");
    body.erase("top_logprobs");
    return {};
}

void take_logprobs(GenerateCall& call) {
    json::object& body = call.request.body;
    const json::value* top = find(body, "logprobs");
    if (top == nullptr) return;
    const auto count = top->to_number<std::size_t>();
    call.top_logprobs = count;
    body.erase("logprobs");
    if (find(body, "n_probs") == nullptr) body["n_probs"] = std::max<std::size_t>(1, count);
}

// A prompt is a text, a list of token ids, or a list of either. Returns how many there are.
Result<std::size_t> count_prompts(const json::object& body) {
    const json::value* prompt = find(body, "prompt");
    if (prompt != nullptr && (prompt->is_string() || prompt->is_object())) return 1;
    if (prompt == nullptr || !prompt->is_array() || prompt->get_array().empty()) {
        return fail(must_be("prompt", "a string, a list of strings or a list of token ids"));
    }
    const json::array& list = prompt->get_array();
    // Ids among the texts make it one prompt.
    if (std::ranges::any_of(list, [](const json::value& one) { return one.is_number(); })) return 1;
    if (list.size() <= kPromptsMax) return list.size();
    return fail(must_be("prompt", format("a list of at most {} prompts", kPromptsMax)));
}

// Images within a prompt are for llama-server's own route alone.
Result<void> refuse_objects(const json::value& prompt) {
    const json::array single(1, prompt);
    for (const json::value& one : prompt.is_array() ? prompt.get_array() : single) {
        if (!one.is_object()) continue;
        return fail(must_be("prompt", format("texts or token ids; images go to {}", kChatRoute)));
    }
    return {};
}

// An engine aborts, with every answer in progress, where nothing follows the last image. Its
// markers are "<__media_", something of its process, "__>".
Result<void> check_images(const json::value& prompt) {
    const json::array single(1, prompt);
    for (const json::value& one : prompt.is_array() ? prompt.get_array() : single) {
        if (!one.is_object() || find(one.get_object(), "multimodal_data") == nullptr) continue;
        const json::value* text = find(one.get_object(), "prompt_string");
        if (text == nullptr || !text->is_string()) {
            return fail(must_be("prompt.prompt_string", "a string beside multimodal_data"));
        }
        if (!std::string_view(text->get_string()).ends_with("__>")) continue;
        return fail(must_be("prompt.prompt_string", "a text that goes on after its last image"));
    }
    return {};
}

Result<void> take_echo(GenerateCall& call) {
    json::object& body = call.request.body;
    const bool wanted = flag_at(body, "echo");
    body.erase("echo");
    if (!wanted) return {};
    if (call.top_logprobs) {
        return fail({.code = Code::InvalidArgument,
                     .message = "echo goes without logprobs: the tokens of a prompt have none here",
                     .param = "echo"});
    }
    const json::value& prompt = body.at("prompt");
    const json::array single(1, prompt);
    for (const json::value& one : prompt.is_array() ? prompt.get_array() : single) {
        if (!one.is_string()) {
            return fail(must_be("prompt", "a string or a list of strings where echo is true"));
        }
        call.echo.emplace_back(one.get_string());
    }
    return {};
}

Result<void> drop_best_of(GenerateCall& call) {
    const json::value* best_of = find(call.request.body, "best_of");
    if (best_of == nullptr) return {};
    if (best_of->to_number<std::size_t>() != call.choices) {
        return fail(must_be("best_of", "equal to n: only answers that are returned are made"));
    }
    call.request.body.erase("best_of");
    return {};
}

// The suffix form of a completion is llama-server's infill.
Result<void> turn_to_infill(json::object& body) {
    json::value prompt = body.at("prompt");
    if (!prompt.is_string()) {
        return fail(must_be("prompt", "a string where there is a suffix"));
    }
    json::value suffix = body.at("suffix");
    body["input_prefix"] = std::move(prompt);
    body["input_suffix"] = std::move(suffix);
    body.erase("prompt");
    body.erase("suffix");
    return {};
}

}  // namespace

Result<GenerateCall> parse_chat(std::string_view text) {
    TRY(json::object body, read_object(text));
    return take_chat(std::move(body));
}

Result<GenerateCall> take_chat(json::object body) {
    TRY_VOID(check_members(body, kChat));
    TRY(const bool functions, translate_functions(body));
    TRY(std::optional<Error> untranslatable, take_messages(body));
    TRY_VOID(take_tools(body));
    TRY(GenerateCall call, take_common(std::move(body), Operation::Chat, Form::Chat));
    if (untranslatable) {
        call.request.untranslatable = std::make_shared<const Error>(*std::move(untranslatable));
    }
    call.functions = functions;
    TRY_VOID(take_chat_logprobs(call));
    return call;
}

Result<GenerateCall> parse_completion(std::string_view text) {
    TRY(json::object body, read_object(text));
    TRY_VOID(check_members(body, kCompletion));
    TRY_VOID(take_chat_words(body, kChatRoute));
    TRY_VOID(count_prompts(body));
    TRY_VOID(refuse_objects(body.at("prompt")));
    TRY(GenerateCall call, take_common(std::move(body), Operation::Completion, Form::Completion));
    TRY_VOID(drop_best_of(call));
    take_logprobs(call);
    TRY_VOID(take_echo(call));
    if (find(call.request.body, "suffix") != nullptr) {
        TRY_VOID(turn_to_infill(call.request.body));
        call.request.operation = Operation::Infill;
    }
    return call;
}

Result<GenerateCall> parse_native(std::string_view text) {
    TRY(json::object body, read_object(text));
    TRY_VOID(take_chat_words(body, kChatRoute));
    TRY_VOID(count_prompts(body));
    TRY_VOID(check_images(body.at("prompt")));
    return take_common(std::move(body), Operation::Native, Form::Native);
}

Result<GenerateCall> parse_infill(std::string_view text) {
    TRY(json::object body, read_object(text));
    TRY_VOID(check_members(body, kInfill));
    TRY_VOID(take_chat_words(body, kChatRoute));
    for (const char* needed : {"input_prefix", "input_suffix"}) {
        if (find(body, needed) == nullptr)
            return fail(must_be(needed, "a string, and is required"));
    }
    return take_common(std::move(body), Operation::Infill, Form::Native);
}

Result<inference::InquiryRequest> parse_inquiry(inference::Inquiry inquiry, std::string_view text) {
    inference::InquiryRequest request{.model = {}, .inquiry = inquiry, .body = {}};
    TRY(request.body, read_object(text));
    if (inquiry == inference::Inquiry::ApplyTemplate) {
        TRY(std::optional<Error> untranslatable, take_messages(request.body));
        if (untranslatable) return fail(*std::move(untranslatable));
    }
    request.model = text_of(request.body, "model");
    request.body.erase("model");
    return request;
}

}  // namespace hearth::api::openai
