#include <algorithm>
#include <array>
#include <boost/json.hpp>
#include <span>
#include <utility>

#include "api/json_body.h"
#include "api/responses.h"
#include "api/responses_input.h"
#include "api/responses_tools.h"
#include "base/format.h"

namespace hearth::api::responses {
namespace {

namespace json = boost::json;

constexpr double kWholeMax = 2147483647;
constexpr std::size_t kIncludesMax = 64;
constexpr std::size_t kPairsMax = 16;

constexpr std::array kMembers = {
    Member{"instructions", Kind::Text},
    Member{"background", Kind::Flag},
    Member{"store", Kind::Flag},
    Member{"text", Kind::Object},
    Member{"reasoning", Kind::Object},
    Member{"metadata", Kind::Object},
    Member{"include", Kind::List},
    Member{"truncation", Kind::Text},
    Member{"max_output_tokens", Kind::Whole, 1, kWholeMax},
    Member{"max_tool_calls", Kind::Whole, 1, kWholeMax},
    Member{"top_logprobs", Kind::Whole, 0, 20},
    Member{"parallel_tool_calls", Kind::Flag},
    Member{"user", Kind::Text},
    Member{"prompt_cache_key", Kind::Text},
    Member{"safety_identifier", Kind::Text},
};

// Of the request, in the answer as they came. They mean nothing to an engine.
constexpr std::array kRepeated = {"max_tool_calls", "prompt_cache_key", "safety_identifier",
                                  "user"};
// Words of this dialect alone, or of a chat where they would mean something else here.
constexpr std::array kOurs = {
    "input",         "instructions",
    "background",    "store",
    "text",          "reasoning",
    "metadata",      "include",
    "truncation",    "max_output_tokens",
    "conversation",  "previous_response_id",
    "prompt",        "prompt_cache_options",
    "service_tier",  "prompt_cache_retention",
    "moderation",    "functions",
    "function_call", "n",
    "n_cmpl",        "max_tokens",
    "logprobs",      "max_completion_tokens",
};

Result<void> check_word(const json::object& from, const char* name, std::string_view where,
                        std::span<const std::string_view> words) {
    const json::value* value = find(from, name);
    if (value == nullptr) return {};
    const bool known =
        value->is_string() &&
        std::ranges::find(words, std::string_view(value->get_string())) != words.end();
    if (known) return {};
    return fail(must_be(where, format("one of: {}", fmt::join(words, ", "))));
}

// What only a server that keeps responses can do.
Result<void> refuse_state(const json::object& body) {
    constexpr std::array<std::pair<const char*, std::string_view>, 3> kKept = {
        {{"previous_response_id", "send the whole conversation as input"},
         {"conversation", "send the whole conversation as input"},
         {"prompt", "send its text as instructions or input"}}};
    const auto stateless = [](std::string_view name, std::string_view instead) {
        return Error{.code = Code::Unsupported,
                     .message = format("{} is not served: this server keeps no state between "
                                       "calls; {}",
                                       name, instead),
                     .reason = "stateless",
                     .param = std::string(name)};
    };
    for (const auto& [name, instead] : kKept) {
        if (find(body, name) != nullptr) return fail(stateless(name, instead));
    }
    if (flag_at(body, "background")) {
        return fail(stateless("background", "ask for a stream, or wait for the answer"));
    }
    return {};
}

Result<void> check_metadata(const json::object& body) {
    const json::value* metadata = find(body, "metadata");
    if (metadata == nullptr) return {};
    const json::object& pairs = metadata->get_object();
    const bool sound =
        pairs.size() <= kPairsMax &&
        std::ranges::all_of(pairs, [](const auto& pair) { return pair.value().is_string(); });
    if (sound) return {};
    return fail(must_be("metadata", format("an object of at most {} strings", kPairsMax)));
}

// True: with the probability of each token. What else can be included is never there to be.
Result<bool> includes_logprobs(const json::object& body) {
    const json::value* include = find(body, "include");
    if (include == nullptr) return false;
    const json::array& list = include->get_array();
    const bool sound =
        list.size() <= kIncludesMax &&
        std::ranges::all_of(list, [](const json::value& one) { return one.is_string(); });
    if (!sound)
        return fail(must_be("include", format("a list of at most {} strings", kIncludesMax)));
    return std::ranges::any_of(
        list, [](const json::value& one) { return one == "message.output_text.logprobs"; });
}

// The form of the answer, one level deeper in a chat.
Result<void> take_format(const json::value* given, json::object& chat) {
    if (given == nullptr) return {};
    if (!given->is_object()) return fail(must_be("text.format", "an object with a type"));
    const json::object& form = given->get_object();
    const std::string type = text_of(form, "type");
    if (type == "text") return {};
    if (type == "json_object") {
        chat["response_format"] = {{"type", type}};
        return {};
    }
    if (type != "json_schema") {
        return fail(must_be("text.format.type", R"("text", "json_object" or "json_schema")"));
    }
    const json::value* schema = find(form, "schema");
    if (schema == nullptr || !schema->is_object()) {
        return fail(must_be("text.format.schema", "a JSON schema"));
    }
    if (text_of(form, "name").empty()) return fail(must_be("text.format.name", "a string"));
    json::object inner = form;
    inner.erase("type");
    chat["response_format"] = {{"type", type}, {"json_schema", std::move(inner)}};
    return {};
}

Result<void> take_text_options(const json::object& body, Call& call, json::object& chat) {
    constexpr std::array<std::string_view, 3> kVerbosities = {"low", "medium", "high"};
    json::object said{{"format", {{"type", "text"}}}, {"verbosity", "medium"}};
    if (const json::value* text = find(body, "text")) {
        const json::object& options = text->get_object();
        TRY_VOID(check_word(options, "verbosity", "text.verbosity", kVerbosities));
        TRY_VOID(take_format(find(options, "format"), chat));
        for (const char* name : {"format", "verbosity"}) {
            if (const json::value* value = find(options, name)) said[name] = *value;
        }
        if (const json::value* wanted = find(options, "verbosity")) chat["verbosity"] = *wanted;
    }
    call.asked["text"] = std::move(said);
    return {};
}

// The reasoning is given as it is; no summary is made of it.
Result<void> take_reasoning_options(const json::object& body, Call& call, json::object& chat) {
    constexpr std::array<std::string_view, 7> kEfforts = {"none", "minimal", "low", "medium",
                                                          "high", "xhigh",   "max"};
    constexpr std::array<std::string_view, 3> kSummaries = {"auto", "concise", "detailed"};
    json::object said{{"effort", nullptr}, {"summary", nullptr}};
    if (const json::value* reasoning = find(body, "reasoning")) {
        const json::object& options = reasoning->get_object();
        TRY_VOID(check_word(options, "effort", "reasoning.effort", kEfforts));
        TRY_VOID(check_word(options, "summary", "reasoning.summary", kSummaries));
        if (const json::value* effort = find(options, "effort")) {
            said["effort"] = chat["reasoning_effort"] = *effort;
            // Templates that think by themselves know this switch only.
            if (*effort == "none" && find(chat, "chat_template_kwargs") == nullptr) {
                chat["chat_template_kwargs"] = {{"enable_thinking", false}};
            }
        }
    }
    call.asked["reasoning"] = std::move(said);
    return {};
}

Result<void> take_truncation(const json::object& body, Call& call) {
    constexpr std::array<std::string_view, 2> kTruncations = {"auto", "disabled"};
    TRY_VOID(check_word(body, "truncation", "truncation", kTruncations));
    call.truncate = text_of(body, "truncation") == "auto";
    call.asked["truncation"] = call.truncate ? "auto" : "disabled";
    return {};
}

Result<void> take_logprobs(const json::object& body, Call& call, json::object& chat) {
    const json::value* top = find(body, "top_logprobs");
    const std::size_t count = top != nullptr ? top->to_number<std::size_t>() : 0;
    call.asked["top_logprobs"] = count;
    TRY(const bool included, includes_logprobs(body));
    if (included || count > 0) chat["logprobs"] = true;
    return {};
}

json::value given_or(const json::object& body, const char* name, const json::value& otherwise) {
    const json::value* value = find(body, name);
    return value != nullptr ? *value : otherwise;
}

// What an answer says of its request, but for what the other functions here add.
void repeat(const json::object& body, json::object& asked) {
    for (const char* name : kRepeated) asked[name] = given_or(body, name, nullptr);
    asked["instructions"] = given_or(body, "instructions", nullptr);
    asked["max_output_tokens"] = given_or(body, "max_output_tokens", nullptr);
    asked["metadata"] = given_or(body, "metadata", json::object());
    asked["parallel_tool_calls"] = given_or(body, "parallel_tool_calls", true);
    asked["service_tier"] = "default";
    // Whatever was asked: nothing is kept.
    asked["store"] = false;
    asked["background"] = false;
    asked["previous_response_id"] = nullptr;
}

}  // namespace

Result<Call> parse(std::string_view text) {
    TRY(json::object body, read_object(text));
    // Images make it long: it is not copied with the rest.
    json::value input;
    if (json::value* given = body.if_contains("input")) input = std::move(*given);
    TRY_VOID(check_members(body, kMembers));
    TRY_VOID(refuse_state(body));
    TRY_VOID(check_metadata(body));
    Call call;
    repeat(body, call.asked);
    json::object chat = body;
    for (const char* name : kOurs) chat.erase(name);
    for (const char* name : kRepeated) chat.erase(name);
    TRY(json::array messages, messages_of(input, text_of(body, "instructions")));
    if (messages.empty()) return fail(must_be("input", "a list in which somebody says something"));
    chat["messages"] = std::move(messages);
    TRY_VOID(take_tools(chat, call.asked));
    TRY_VOID(take_text_options(body, call, chat));
    TRY_VOID(take_reasoning_options(body, call, chat));
    TRY_VOID(take_truncation(body, call));
    TRY_VOID(take_logprobs(body, call, chat));
    if (const json::value* limit = find(body, "max_output_tokens")) chat["max_tokens"] = *limit;
    TRY(call.chat, openai::take_chat(std::move(chat)));
    return call;
}

}  // namespace hearth::api::responses
