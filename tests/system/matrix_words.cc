#include "matrix_words.h"

#include <algorithm>
#include <array>
#include <bit>

#include "base/format.h"
#include "matrix_upstream.h"

namespace hearth::system_test::matrix {
namespace {

namespace json = boost::json;

// kSaid in two pieces.
constexpr std::string_view kFirst = "It";
constexpr std::string_view kSecond = " rains.";

std::string data(const json::value& event) { return "data: " + json::serialize(event) + "\n\n"; }

std::string named(const json::object& event) {
    return format("event: {}\n{}", std::string_view(event.at("type").as_string()), data(event));
}

std::string line(const json::value& event) { return json::serialize(event) + "\n"; }

json::object openai_usage() {
    return {{"prompt_tokens", kPromptTokens},
            {"completion_tokens", kCompletionTokens},
            {"total_tokens", kPromptTokens + kCompletionTokens}};
}

json::object openai_call(std::string_view arguments) {
    return {{"index", 0},
            {"id", kCallId},
            {"type", "function"},
            {"function", {{"name", "weather"}, {"arguments", arguments}}}};
}

bool is_chat(std::string_view target) {
    return target.contains("chat") || target == "/v1/messages";
}

// As of /v1/chat/completions or /v1/completions.
struct Openai {
    const Words& words;

    json::object event(const char* object, json::object choice) const {
        json::array choices;
        if (!choice.empty()) choices.push_back(std::move(choice));
        return {{"id", "chatcmpl-up"},
                {"object", object},
                {"created", 1'700'000'000},
                {"model", kModel},
                {"choices", std::move(choices)}};
    }
    std::string piece(std::string_view text, json::value reason) const {
        json::object choice{{"index", 0}, {"logprobs", nullptr}, {"finish_reason", reason}};
        if (!is_chat(words.target)) {
            choice["text"] = text;
            return data(event("text_completion", std::move(choice)));
        }
        json::object delta;
        if (!text.empty()) delta["content"] = text;
        choice["delta"] = std::move(delta);
        return data(event("chat.completion.chunk", std::move(choice)));
    }
    std::string call_piece(json::object call) const {
        json::object delta{{"tool_calls", json::array(1, json::value(std::move(call)))}};
        return data(event("chat.completion.chunk", {{"index", 0},
                                                    {"delta", std::move(delta)},
                                                    {"logprobs", nullptr},
                                                    {"finish_reason", nullptr}}));
    }
    std::string beginning() const {
        return words.calls ? call_piece(openai_call("")) : piece(kFirst, nullptr);
    }
    std::string rest() const {
        std::string out;
        if (words.calls) {
            for (const std::string_view part :
                 {kCallArguments.substr(0, 8), kCallArguments.substr(8)}) {
                out += call_piece({{"index", 0}, {"function", {{"arguments", part}}}});
            }
        } else {
            out += piece(kSecond, nullptr);
        }
        out += piece("", words.calls ? "tool_calls" : "stop");
        const json::value* options = words.asked.if_contains("stream_options");
        if (options != nullptr && options->at("include_usage").as_bool()) {
            json::object last = event("chat.completion.chunk", {});
            last["usage"] = openai_usage();
            out += data(last);
        }
        return out + "data: [DONE]\n\n";
    }
    std::string whole() const {
        json::object choice{{"index", 0}, {"logprobs", nullptr}};
        choice["finish_reason"] = words.calls ? "tool_calls" : "stop";
        json::object message{{"role", "assistant"}, {"content", kSaid}};
        if (words.calls) {
            message["content"] = nullptr;
            json::object call = openai_call(kCallArguments);
            call.erase("index");
            message["tool_calls"] = json::array(1, json::value(std::move(call)));
        }
        if (is_chat(words.target)) {
            choice["message"] = std::move(message);
        } else {
            choice["text"] = kSaid;
        }
        json::object out =
            event(is_chat(words.target) ? "chat.completion" : "text_completion", std::move(choice));
        out["usage"] = openai_usage();
        return json::serialize(out);
    }
};

// As of /api/chat or /api/generate.
struct Ollama {
    const Words& words;

    json::object part(std::string_view text, bool calls) const {
        json::object out{
            {"model", kModel}, {"created_at", "2026-11-21T10:00:00Z"}, {"done", false}};
        if (!is_chat(words.target)) {
            out["response"] = text;
            return out;
        }
        json::object message{{"role", "assistant"}, {"content", text}};
        if (calls) {
            message["content"] = "";
            json::object function{
                {"index", 0}, {"name", "weather"}, {"arguments", json::parse(kCallArguments)}};
            message["tool_calls"] = {{{"id", kCallId}, {"function", std::move(function)}}};
        }
        out["message"] = std::move(message);
        return out;
    }
    static json::object ended(json::object part) {
        part["done"] = true;
        part["done_reason"] = "stop";
        part["total_duration"] = 5'000'000;
        part["load_duration"] = 1'000'000;
        part["prompt_eval_count"] = kPromptTokens;
        part["prompt_eval_duration"] = 1'300'000;
        part["eval_count"] = kCompletionTokens;
        part["eval_duration"] = 2'000'000;
        return part;
    }
    std::string beginning() const { return line(part(kFirst, words.calls)); }
    std::string rest() const {
        std::string out;
        if (!words.calls) out = line(part(kSecond, false));
        return out + line(ended(part("", false)));
    }
    std::string whole() const { return json::serialize(ended(part(kSaid, words.calls))); }
};

json::object tool_use(json::object input) {
    return {
        {"type", "tool_use"}, {"id", kCallId}, {"name", "weather"}, {"input", std::move(input)}};
}

struct Anthropic {
    const Words& words;

    json::object message(json::array content, json::value reason) const {
        return {{"id", "msg_up"},
                {"type", "message"},
                {"role", "assistant"},
                {"content", std::move(content)},
                {"model", kModel},
                {"stop_reason", std::move(reason)},
                {"stop_sequence", nullptr},
                {"usage", {{"input_tokens", kPromptTokens}, {"output_tokens", 1}}}};
    }
    static std::string delta(json::object delta) {
        return named({{"type", "content_block_delta"}, {"index", 0}, {"delta", std::move(delta)}});
    }
    static std::string text(std::string_view piece) {
        return delta({{"type", "text_delta"}, {"text", piece}});
    }
    std::string beginning() const {
        const json::object block =
            words.calls ? tool_use({}) : json::object{{"type", "text"}, {"text", ""}};
        const std::string begun =
            named({{"type", "message_start"}, {"message", message({}, nullptr)}}) +
            named({{"type", "content_block_start"}, {"index", 0}, {"content_block", block}});
        return words.calls ? begun : begun + text(kFirst);
    }
    std::string rest() const {
        std::string out;
        if (words.calls) {
            for (const std::string_view part :
                 {kCallArguments.substr(0, 8), kCallArguments.substr(8)}) {
                out += delta({{"type", "input_json_delta"}, {"partial_json", part}});
            }
        } else {
            out = text(kSecond);
        }
        const char* reason = words.calls ? "tool_use" : "end_turn";
        return out + named({{"type", "content_block_stop"}, {"index", 0}}) +
               named({{"type", "message_delta"},
                      {"delta", {{"stop_reason", reason}, {"stop_sequence", nullptr}}},
                      {"usage", {{"output_tokens", kCompletionTokens}}}}) +
               named({{"type", "message_stop"}});
    }
    std::string whole() const {
        const json::object block = words.calls ? tool_use(json::parse(kCallArguments).as_object())
                                               : json::object{{"type", "text"}, {"text", kSaid}};
        json::object out =
            message(json::array(1, json::value(block)), words.calls ? "tool_use" : "end_turn");
        out["usage"].as_object()["output_tokens"] = kCompletionTokens;
        return json::serialize(out);
    }
};

// As of Triton's generate extension before vLLM, which streams alone.
struct Triton {
    static std::string event(std::string_view text, const char* reason, int tokens) {
        return data(json::object{{"model_name", kModel},
                                 {"model_version", "1"},
                                 {"text_output", text},
                                 {"finish_reason", reason},
                                 {"num_input_tokens", kPromptTokens},
                                 {"num_output_tokens", tokens}});
    }
    static std::string beginning() { return event(kFirst, "None", 1); }
    static std::string rest() { return event(kSecond, "stop", kCompletionTokens - 1); }
};

json::object tensor(std::string_view name, std::string_view type, json::array shape) {
    return {{"name", name}, {"datatype", type}, {"shape", std::move(shape)}};
}

// One that generates as vLLM does, one that takes tokens.
json::object triton_model(bool generates) {
    json::array in;
    json::array out;
    if (generates) {
        in.push_back(tensor("text_input", "BYTES", {1}));
        in.push_back(tensor("sampling_parameters", "BYTES", {1}));
        for (const char* flag : {"stream", "exclude_input_in_output", "return_finish_reason",
                                 "return_num_input_tokens", "return_num_output_tokens"}) {
            in.push_back(tensor(flag, "BOOL", {1}));
        }
        out.push_back(tensor("text_output", "BYTES", {-1}));
    } else {
        for (const char* name : {"input_ids", "token_type_ids", "attention_mask"}) {
            in.push_back(tensor(name, "INT64", {-1, -1}));
        }
        out.push_back(tensor("sentence_embedding", "FP32", {-1, 2}));
    }
    return {{"name", kModel},
            {"versions", {"1"}},
            {"platform", ""},
            {"inputs", std::move(in)},
            {"outputs", std::move(out)}};
}

std::optional<std::string> told_of_triton(std::string_view request) {
    if (request == "GET /v2/health/ready") return "";
    if (request == "POST /v2/repository/index") {
        json::array list;
        for (const std::string_view name : {kModel, kVectorModel}) {
            list.push_back({{"name", name}, {"version", "1"}, {"state", "READY"}});
        }
        return json::serialize(list);
    }
    if (!request.starts_with("GET ")) return {};
    if (request.ends_with("/config")) return R"({"max_batch_size":8})";
    return json::serialize(triton_model(!request.ends_with(kVectorModel)));
}

std::string vectors(std::string_view target) {
    const json::array rows{json::array{1.0, 0.0}, json::array{0.0, 1.0}};
    if (target == "/api/embed") {
        return json::serialize(json::object{{"model", kModel},
                                            {"embeddings", rows},
                                            {"total_duration", 5'000'000},
                                            {"load_duration", 1'000'000},
                                            {"prompt_eval_count", kPromptTokens}});
    }
    json::array data;
    for (std::size_t i = 0; i < rows.size(); ++i) {
        data.push_back({{"object", "embedding"}, {"index", i}, {"embedding", rows[i]}});
    }
    return json::serialize(json::object{
        {"object", "list"},
        {"data", std::move(data)},
        {"model", kModel},
        {"usage", {{"prompt_tokens", kPromptTokens}, {"total_tokens", kPromptTokens}}}});
}

std::string scores() {
    return json::serialize(json::object{
        {"results",
         {{{"index", 1}, {"relevance_score", 0.75}}, {{"index", 0}, {"relevance_score", 0.25}}}},
        {"usage", {{"prompt_tokens", kPromptTokens}, {"total_tokens", kPromptTokens}}}});
}

}  // namespace

std::optional<std::string> told_of(std::string_view kind, std::string_view request) {
    if (kind == "triton") return told_of_triton(request);
    if (!request.starts_with("GET ")) return {};
    if (kind == "ollama") {
        return json::serialize(json::object{{"models", {{{"name", kModel}, {"model", kModel}}}}});
    }
    return json::serialize(
        json::object{{"object", "list"},
                     {"has_more", false},
                     {"data", {{{"id", kModel}, {"object", "model"}, {"type", "model"}}}}});
}

std::string error_of(std::string_view kind, int status) {
    if (kind == "ollama" || kind == "triton") {
        return json::serialize(json::object{{"error", "told so"}});
    }
    const bool is_refusal = status == 400;
    const char* type = is_refusal ? "invalid_request_error" : "rate_limit_error";
    if (status == 500) type = kind == "anthropic" ? "api_error" : "server_error";
    json::object error{{"type", type}, {"message", "told so"}};
    if (kind == "anthropic") {
        return json::serialize(json::object{{"type", "error"}, {"error", std::move(error)}});
    }
    error["code"] = nullptr;
    error["param"] = nullptr;
    return json::serialize(json::object{{"error", std::move(error)}});
}

bool is_generating(std::string_view target) {
    return !target.contains("embed") && !target.contains("rerank") && !target.ends_with("/infer");
}

Tensors tensors() {
    constexpr std::array<float, 4> kRows = {1, 0, 0, 1};
    const auto bytes = std::bit_cast<std::array<char, sizeof kRows>>(kRows);
    json::object output = tensor("sentence_embedding", "FP32", {2, 2});
    output["parameters"] = {{"binary_data_size", bytes.size()}};
    const std::string head =
        json::serialize(json::object{{"model_name", kVectorModel},
                                     {"model_version", "1"},
                                     {"outputs", json::array(1, json::value(std::move(output)))}});
    return {.body = head + std::string(bytes.data(), bytes.size()), .head_bytes = head.size()};
}

std::string Words::whole() const {
    if (target.contains("rerank")) return scores();
    if (!is_generating(target)) return vectors(target);
    if (kind == "ollama") return Ollama{*this}.whole();
    return kind == "anthropic" ? Anthropic{*this}.whole() : Openai{*this}.whole();
}

std::string Words::beginning() const {
    if (kind == "triton") return Triton::beginning();
    if (kind == "ollama") return Ollama{*this}.beginning();
    return kind == "anthropic" ? Anthropic{*this}.beginning() : Openai{*this}.beginning();
}

std::string Words::rest() const {
    if (kind == "triton") return Triton::rest();
    if (kind == "ollama") return Ollama{*this}.rest();
    return kind == "anthropic" ? Anthropic{*this}.rest() : Openai{*this}.rest();
}

std::string Words::failure() const {
    const std::string error = error_of(kind, 500);
    if (kind == "ollama") return error + "\n";
    return kind == "anthropic" ? named(json::parse(error).as_object()) : "data: " + error + "\n\n";
}

}  // namespace hearth::system_test::matrix
