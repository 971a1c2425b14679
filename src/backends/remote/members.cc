#include "backends/remote/members.h"

#include <algorithm>
#include <array>
#include <boost/json.hpp>
#include <utility>

#include "backends/remote/wire_json.h"
#include "base/encoding.h"
#include "base/format.h"

namespace hearth::remote {
namespace {

namespace json = boost::json;

// Nothing in an answer depends on these.
constexpr std::array<std::string_view, 28> kHarmless = {
    "user", "metadata", "store", "service_tier", "safety_identifier", "prompt_cache_key",
    "prompt_cache_options", "prompt_cache_retention", "prediction", "cache_prompt", "verbose",
    "return_progress", "sse_ping_interval", "timings_per_token", "id_slot", "n_cache_reuse",
    "n_keep", "n_discard",
    // Without the members they refine, which are refused, these say nothing.
    "repeat_last_n", "mirostat_tau", "mirostat_eta", "dry_base", "dry_allowed_length",
    "dry_penalty_last_n", "dry_sequence_breakers", "xtc_threshold", "dynatemp_exponent",
    "min_keep"};
constexpr std::array<std::string_view, 7> kEngineOnly = {
    "cache_prompt",  "return_progress", "sse_ping_interval", "timings_per_token", "id_slot",
    "n_cache_reuse", "verbose"};

struct Neutral {
    std::string_view name;
    double value;
};
// What these are when nobody asks for them. Flags count as 0 and 1.
constexpr std::array kNeutral = {
    Neutral{"n", 1},
    Neutral{"n_cmpl", 1},
    Neutral{"best_of", 1},
    Neutral{"presence_penalty", 0},
    Neutral{"frequency_penalty", 0},
    Neutral{"repeat_penalty", 1},
    Neutral{"repetition_penalty", 1},
    Neutral{"min_p", 0},
    Neutral{"typical_p", 1},
    Neutral{"top_p", 1},
    Neutral{"top_n_sigma", -1},
    Neutral{"mirostat", 0},
    Neutral{"dry_multiplier", 0},
    Neutral{"xtc_probability", 0},
    Neutral{"dynatemp_range", 0},
    Neutral{"n_probs", 0},
    Neutral{"top_logprobs", 0},
    Neutral{"n_indent", 0},
    Neutral{"t_max_predict_ms", 0},
    Neutral{"min_tokens", 0},
    Neutral{"logprobs", 0},
    Neutral{"echo", 0},
    Neutral{"ignore_eos", 0},
    Neutral{"return_tokens", 0},
    Neutral{"post_sampling_probs", 0},
    Neutral{"parallel_tool_calls", 1},
    Neutral{"parse_tool_calls", 1},
    Neutral{"add_generation_prompt", 1},
};

bool is_empty(const json::value& value) {
    if (value.is_null()) return true;
    if (const json::array* list = value.if_array()) return list->empty();
    if (const json::object* object = value.if_object()) return object->empty();
    return value.is_string() && value.get_string().empty();
}

bool is_word_of(std::string_view name, const json::value& value) {
    if (!value.is_string()) return false;
    const std::string_view word = value.get_string();
    if (name == "reasoning_format") return word == "auto" || word == "deepseek";
    return name == "verbosity" && word == "medium";
}

bool says_nothing(std::string_view name, const json::value& value) {
    if (std::ranges::find(kHarmless, name) != kHarmless.end()) return true;
    if (is_empty(value) || is_word_of(name, value)) return true;
    if (name == "top_k") return value.is_number() && value.to_number<double>() <= 0;
    if (name == "modalities") return value == json::value(json::array{"text"});
    const auto neutral = std::ranges::find(kNeutral, name, &Neutral::name);
    if (neutral == kNeutral.end()) return false;
    if (value.is_bool()) return value.get_bool() == (neutral->value != 0);
    return value.is_number() && value.to_number<double>() == neutral->value;
}

bool is_effort(std::string_view word) {
    constexpr std::array<std::string_view, 7> kEfforts = {"none", "minimal", "low", "medium",
                                                          "high", "xhigh",   "max"};
    return std::ranges::find(kEfforts, word) != kEfforts.end();
}

}  // namespace

std::unexpected<Error> cannot(std::string_view kind, std::string param, std::string_view what,
                              std::string_view can) {
    return fail({.code = Code::Unsupported,
                 .message = format("{} upstreams cannot {}; {}", kind, what, can),
                 .param = std::move(param)});
}

std::unexpected<Error> must_be(std::string name, std::string_view expected) {
    std::string message = format("{} must be {}", name, expected);
    return fail(
        {.code = Code::InvalidArgument, .message = std::move(message), .param = std::move(name)});
}

Result<void> refuse_others(const json::object& body, std::string_view kind,
                           std::span<const std::string_view> carried) {
    for (const auto& [key, value] : body) {
        const std::string_view name = key;
        if (std::ranges::find(carried, name) != carried.end() || says_nothing(name, value))
            continue;
        const std::string param = repair_utf8(name.substr(0, 80));
        return cannot(kind, param, format("be told {}", param),
                      "leave it out, or ask a local model");
    }
    return {};
}

void erase_engine_members(json::object& body) {
    for (const std::string_view name : kEngineOnly) body.erase(name);
}

std::optional<std::uint64_t> tokens_limit(const json::object& body) {
    const json::value* limit = inference::tokens_limit_of(body);
    if (limit == nullptr) return std::nullopt;
    const auto number = limit->to_number<double>();
    if (!(number >= 0 && number < 1e15)) return std::nullopt;
    return std::max<std::uint64_t>(1, static_cast<std::uint64_t>(number));
}

void erase_tokens_limit(json::object& body) {
    for (const std::string_view name : inference::kTokensLimits) body.erase(name);
}

json::array stop_words(const json::object& body) {
    const json::value* stop = find(body, "stop");
    if (stop == nullptr) return {};
    if (const json::array* words = stop->if_array()) return *words;
    return json::array(1, *stop);
}

Result<AnswerForm> answer_form(const json::object& body) {
    AnswerForm form{.any_object = false, .schema = find(body, "json_schema")};
    const json::object* wanted = object_at(body, "response_format");
    if (wanted == nullptr) return form;
    const std::string_view type = text_at(*wanted, "type");
    if (type.empty() || type == "text") return form;
    if (type != "json_object" && type != "json_schema") {
        return must_be("response_format.type", "\"text\", \"json_object\" or \"json_schema\"");
    }
    const json::object* named = object_at(*wanted, "json_schema");
    const json::value* schema = named != nullptr ? find(*named, "schema") : nullptr;
    if (schema == nullptr) schema = find(*wanted, "schema");
    if (schema != nullptr && schema->is_object()) {
        form.schema = schema;
    } else if (type == "json_schema") {
        return must_be("response_format.json_schema.schema", "a JSON schema");
    } else {
        form.any_object = true;
    }
    return form;
}

Result<std::string> reasoning_effort(const json::object& body, std::string_view kind) {
    std::string effort(text_at(body, "reasoning_effort"));
    if (!effort.empty() && !is_effort(effort)) {
        return cannot(kind, "reasoning_effort", "be asked for this effort",
                      "none, minimal, low, medium, high, xhigh and max are known");
    }
    const json::object* words = object_at(body, "chat_template_kwargs");
    if (words == nullptr) return effort;
    for (const auto& [name, value] : *words) {
        if (name == "enable_thinking" && value.is_bool()) continue;
        return cannot(kind, "chat_template_kwargs", "be told what a template reads",
                      "enable_thinking alone is translated; ask a local model for others");
    }
    if (!words->contains("enable_thinking")) return effort;
    if (!flag_at(*words, "enable_thinking")) return std::string("none");
    return effort.empty() ? std::string("on") : effort;
}

Result<std::string> text_prompt(const json::object& body, std::string_view kind) {
    const json::value* prompt = find(body, "prompt");
    if (prompt != nullptr && prompt->is_array() && prompt->get_array().size() == 1) {
        prompt = &prompt->get_array().front();
    }
    if (prompt != nullptr && prompt->is_string()) return std::string(prompt->get_string());
    if (prompt != nullptr && prompt->is_object()) {
        return cannot(kind, "prompt", "be sent pictures within a bare prompt",
                      "send them as a chat");
    }
    return cannot(kind, "prompt", "be sent several prompts or token ids in one call",
                  "send one text");
}

Result<Gap> read_gap(const json::object& body, std::string_view kind) {
    const json::value* extra = find(body, "input_extra");
    if (extra != nullptr && !is_empty(*extra)) {
        return cannot(kind, "input_extra", "be told of other files", "put them into input_prefix");
    }
    if (!text_at(body, "prompt").empty()) {
        return cannot(kind, "prompt", "be given the beginning of what is between",
                      "put it at the end of input_prefix");
    }
    return Gap{.before = std::string(text_at(body, "input_prefix")),
               .after = std::string(text_at(body, "input_suffix"))};
}

std::optional<std::uint64_t> wanted_probabilities(const json::object& body) {
    const auto count = count_at(body, "n_probs");
    return count && *count > 0 ? count : std::nullopt;
}

}  // namespace hearth::remote
