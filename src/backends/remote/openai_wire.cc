// OpenAI's API as vLLM, NIM, LM Studio and llama-server serve it, and OpenAI itself.
// Source: openai/openai-openapi; vLLM's documentation of its OpenAI-compatible server.
#include <algorithm>
#include <array>
#include <boost/json.hpp>
#include <cstring>
#include <utility>

#include "backends/remote/members.h"
#include "backends/remote/openai_stream.h"
#include "backends/remote/openai_strict.h"
#include "backends/remote/remote_error.h"
#include "backends/remote/vectors.h"
#include "backends/remote/wire.h"
#include "backends/remote/wire_json.h"
#include "base/encoding.h"
#include "base/format.h"

namespace hearth::remote {
namespace {

namespace json = boost::json;
using inference::EmbedReply;
using inference::EmbedRequest;
using inference::GenerateRequest;
using inference::Operation;
using inference::TokenIds;

constexpr std::string_view kOpenaiKind = "OpenAI-compatible";
// A completion that names no limit is one of 16 tokens to these servers, and one without end to us.
constexpr std::uint64_t kCompletionTokens = 1024;

void set_tokens_limit(json::object& body, const char* name, std::optional<std::uint64_t> limit) {
    erase_tokens_limit(body);
    if (limit) body[name] = *limit;
}

void unify_common(json::object& body) {
    erase_engine_members(body);
    if (const json::value* choices = find(body, "n_cmpl")) {
        const json::value count = *choices;
        body["n"] = count;
    }
    body.erase("n_cmpl");
    // vLLM's name for the same.
    const json::value* penalty = find(body, "repeat_penalty");
    if (penalty != nullptr && find(body, "repetition_penalty") == nullptr) {
        const json::value value = *penalty;
        body["repetition_penalty"] = value;
    }
}

json::object chat_body(const GenerateRequest& request) {
    json::object body = request.body;
    unify_common(body);
    const bool is_new_name =
        find(body, "n_predict") == nullptr && find(body, "max_completion_tokens") != nullptr;
    const auto limit = tokens_limit(body);
    set_tokens_limit(body, is_new_name ? "max_completion_tokens" : "max_tokens", limit);
    return body;
}

// What /v1/completions has other words for than the native form.
void unify_completion(json::object& body) {
    unify_common(body);
    const auto limit = tokens_limit(body);
    set_tokens_limit(body, "max_tokens", limit.value_or(kCompletionTokens));
    if (const auto count = wanted_probabilities(body)) body["logprobs"] = *count;
    body.erase("n_probs");
    const json::value* schema = find(body, "json_schema");
    if (schema != nullptr && find(body, "response_format") == nullptr) {
        json::object named{{"name", "answer"}, {"schema", *schema}};
        body["response_format"] = {{"type", "json_schema"}, {"json_schema", std::move(named)}};
    }
}

// The native events have one choice, and no ids of tokens.
Result<void> refuse_native_only(const json::object& body) {
    constexpr std::string_view kCan = "ask a local model";
    if (count_at(body, "n").value_or(1) > 1) {
        return cannot(kOpenaiKind, "n", "give several answers to this call", kCan);
    }
    if (flag_at(body, "return_tokens")) {
        return cannot(kOpenaiKind, "return_tokens", "tell the ids of tokens", kCan);
    }
    if (flag_at(body, "post_sampling_probs")) {
        return cannot(kOpenaiKind, "post_sampling_probs", "tell these probabilities", kCan);
    }
    if (const json::array* images = list_at(body, "image_data"); images && !images->empty()) {
        return cannot(kOpenaiKind, "image_data", "be sent images here", "send them as a chat");
    }
    return {};
}

Result<json::object> completion_body(const GenerateRequest& request) {
    json::object body = request.body;
    unify_completion(body);
    if (request.operation == Operation::Completion) return body;
    TRY_VOID(refuse_native_only(body));
    for (const char* name : {"return_tokens", "post_sampling_probs", "image_data"})
        body.erase(name);
    if (request.operation == Operation::Native) {
        // One prompt, as a text or as ids.
        const json::array* ids = list_at(body, "prompt");
        const bool is_ids = ids != nullptr && std::ranges::all_of(*ids, [](const json::value& id) {
                                return id.is_int64();
                            });
        if (!is_ids) {
            TRY(body["prompt"], text_prompt(request.body, kOpenaiKind));
        }
        return body;
    }
    TRY(const Gap gap, read_gap(request.body, kOpenaiKind));
    for (const char* name : {"input_prefix", "input_suffix", "input_extra"}) body.erase(name);
    body["prompt"] = gap.before;
    body["suffix"] = gap.after;
    return body;
}

Result<void> check_embed(const EmbedRequest& request) {
    if (request.inputs.empty()) return must_be("input", "at least one text");
    if (!request.prompt_name.empty()) {
        return cannot(kOpenaiKind, "prompt_name", "be told the name of a prompt",
                      "put the prompt before each text");
    }
    if (!request.normalize) {
        return cannot(kOpenaiKind, "normalize", "be asked for vectors of another length than one",
                      "ask a local model");
    }
    return {};
}

Result<std::vector<float>> read_base64_row(std::string_view text) {
    const auto bytes = decode_base64(text);
    if (!bytes || bytes->empty() || bytes->size() % sizeof(float) != 0) {
        return wrong_form("an embedding is no base64 of floats");
    }
    std::vector<float> row(bytes->size() / sizeof(float));
    std::memcpy(row.data(), bytes->data(), bytes->size());
    return row;
}

Result<std::vector<float>> read_openai_row(const json::value& item) {
    const json::value* row = item.is_object() ? find(item.get_object(), "embedding") : nullptr;
    if (row == nullptr) return wrong_form("an item has no embedding");
    if (row->is_string()) return read_base64_row(row->get_string());
    if (!row->is_array()) return wrong_form("an embedding is no list");
    std::vector<float> out;
    out.reserve(row->get_array().size());
    for (const json::value& value : row->get_array()) {
        if (!value.is_number()) return wrong_form("an embedding holds more than numbers");
        out.push_back(static_cast<float>(value.to_number<double>()));
    }
    return out;
}

// "index" says to which input an item belongs; without, they stand in order.
Result<std::vector<std::vector<float>>> read_openai_rows(const json::array& data) {
    std::vector<std::vector<float>> rows(data.size());
    for (std::size_t i = 0; i < data.size(); ++i) {
        const auto index = data[i].is_object() ? count_at(data[i].get_object(), "index")
                                               : std::optional<std::uint64_t>();
        const std::uint64_t place = index.value_or(i);
        if (place >= rows.size() || !rows[place].empty()) {
            return wrong_form("the numbers of the embeddings are not those of the inputs");
        }
        TRY(rows[place], read_openai_row(data[i]));
    }
    return rows;
}

std::optional<std::uint64_t> listed_context(const json::object& model) {
    // vLLM, OpenRouter, LM Studio.
    for (const char* name : {"max_model_len", "context_length", "max_context_length"}) {
        if (const auto count = count_at(model, name); count && *count > 0) return count;
    }
    // llama-server: what it runs with, and what the model was made for.
    const json::object* meta = object_at(model, "meta");
    if (meta == nullptr) return std::nullopt;
    for (const char* name : {"n_ctx", "n_ctx_train"}) {
        if (const auto count = count_at(*meta, name); count && *count > 0) return count;
    }
    return std::nullopt;
}

std::vector<std::string> listed_capabilities(const json::object& model) {
    std::vector<std::string> out;
    if (const json::array* told = list_at(model, "capabilities")) {
        for (const json::value& word : *told) {
            if (word.is_string()) out.emplace_back(word.get_string());
        }
        return out;
    }
    const std::string_view type = text_at(model, "type");  // LM Studio
    if (type == "embeddings" || type == "embedding") out = {"embedding"};
    if (type == "llm") out = {"completion"};
    if (type == "vlm") out = {"completion", "vision"};
    return out;
}

std::unexpected<Error> cannot_go_on() {
    return cannot(kOpenaiKind, "messages", "go on with the beginning of an answer", "ask for all");
}

class OpenaiWire final : public Wire {
  public:
    explicit OpenaiWire(Openai server) : is_strict_(server == Openai::Itself) {}
    std::string_view kind() const override { return "openai"; }

    Result<http::Call> generate(const GenerateRequest& request,
                                std::string_view model) const override {
        const bool is_chat = request.operation == Operation::Chat;
        TRY(json::object body,
            is_chat ? Result<json::object>(chat_body(request)) : completion_body(request));
        if (is_strict_) TRY_VOID(make_strict(body, is_chat));
        if (request.opens_answer) {  // the words of vLLM and SGLang
            if (is_strict_ && is_chat) return cannot_go_on();
            body["continue_final_message"] = true;
            body["add_generation_prompt"] = false;
        }
        body["model"] = model;
        body["stream"] = true;
        body["stream_options"] = {{"include_usage", true}};
        return post_json(is_chat ? "/v1/chat/completions" : "/v1/completions", body);
    }
    std::unique_ptr<WireStream> stream(const GenerateRequest& request, Stamp stamp) const override {
        return make_openai_stream(request, std::move(stamp));
    }

    Result<http::Call> embed(const EmbedRequest& request, std::string_view model) const override {
        TRY_VOID(check_embed(request));
        json::array inputs;
        for (const auto& input : request.inputs) {
            if (const auto* ids = std::get_if<TokenIds>(&input)) {
                inputs.push_back(json::value_from(*ids));
            } else {
                inputs.push_back(json::value(std::get<std::string>(input)));
            }
        }
        json::object body{
            {"model", model}, {"input", std::move(inputs)}, {"encoding_format", "base64"}};
        if (request.dimensions) body["dimensions"] = *request.dimensions;
        return post_json("/v1/embeddings", body);
    }

    Result<EmbedReply> embedded(std::string_view body, const EmbedRequest& request) const override {
        TRY(const json::object answer, read_sound_answer(body));
        const json::array* data = list_at(answer, "data");
        if (data == nullptr) return wrong_form("there is no list of data");
        TRY(auto rows, read_openai_rows(*data));
        const json::object* usage = object_at(answer, "usage");
        const auto tokens = usage != nullptr ? count_at(*usage, "prompt_tokens") : std::nullopt;
        TRY(EmbedReply reply, make_reply(std::move(rows), request, tokens));
        reply.model = text_at(answer, "model");
        return reply;
    }

    Error error_of(int status, const http::Headers& headers, std::string_view body) const override {
        return remote_error(status, headers, body);
    }

    http::Call list_models() const override { return read_call("/v1/models"); }
    Result<std::vector<RemoteModel>> listed(std::string_view body) const override {
        TRY(const json::object answer, read_sound_answer(body));
        const json::array* data = list_at(answer, "data");
        if (data == nullptr) return wrong_form("there is no list of models");
        std::vector<RemoteModel> models;
        for (const json::value& item : *data) {
            const json::object* model = item.if_object();
            if (model == nullptr || text_at(*model, "id").empty()) continue;
            models.push_back({.name = std::string(text_at(*model, "id")),
                              .context_length = listed_context(*model),
                              .capabilities = listed_capabilities(*model),
                              .created_unix = moment_at(*model, "created")});
        }
        return models;
    }
    // Compatible servers have no other route in common.
    http::Call probe() const override { return list_models(); }

  private:
    const bool is_strict_;
};

}  // namespace

std::unique_ptr<Wire> make_openai_wire(Openai server) {
    return std::make_unique<OpenaiWire>(server);
}

std::unique_ptr<Wire> make_wire(std::string_view kind, Openai server) {
    if (kind == "openai") return make_openai_wire(server);
    using Make = std::unique_ptr<Wire> (*)();
    constexpr std::array<std::pair<std::string_view, Make>, 3> kKinds = {
        {{"ollama", make_ollama_wire},
         {"anthropic", make_anthropic_wire},
         {"triton", make_triton_wire}}};
    for (const auto& [name, make] : kKinds) {
        if (name == kind) return make();
    }
    return nullptr;
}

}  // namespace hearth::remote
