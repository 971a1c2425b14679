// Ollama's own API. Source: ollama/ollama docs/api.md, api/types.go.
#include <boost/json.hpp>
#include <utility>

#include "backends/remote/members.h"
#include "backends/remote/ollama_request.h"
#include "backends/remote/ollama_stream.h"
#include "backends/remote/remote_error.h"
#include "backends/remote/vectors.h"
#include "backends/remote/wire.h"
#include "backends/remote/wire_json.h"

namespace hearth::remote {
namespace {

namespace json = boost::json;
using inference::EmbedReply;
using inference::EmbedRequest;
using inference::GenerateRequest;
using inference::Operation;
using inference::Overflow;

constexpr std::string_view kAskLocal = "ask a local model";

Result<void> check_ollama_embed(const EmbedRequest& request) {
    if (!request.prompt_name.empty()) {
        return cannot(kOllamaKind, "prompt_name", "be told the name of a prompt",
                      "put the prompt before each text");
    }
    if (!request.normalize) {
        return cannot(kOllamaKind, "normalize", "give vectors that are not normalised", kAskLocal);
    }
    if (request.overflow == Overflow::CutLeft) {
        return cannot(kOllamaKind, "truncation_direction", "cut a text at its beginning",
                      "they cut at the end");
    }
    return {};
}

Result<json::array> ollama_inputs(const EmbedRequest& request) {
    json::array inputs;
    for (const auto& input : request.inputs) {
        const auto* text = std::get_if<std::string>(&input);
        if (text == nullptr) {
            return cannot(kOllamaKind, "input", "embed token ids", "send the text");
        }
        inputs.push_back(json::value(*text));
    }
    return inputs;
}

Result<std::vector<float>> read_ollama_row(const json::value& value) {
    if (!value.is_array()) return wrong_form("an embedding is no list");
    std::vector<float> row;
    row.reserve(value.get_array().size());
    for (const json::value& number : value.get_array()) {
        if (!number.is_number()) return wrong_form("an embedding holds more than numbers");
        row.push_back(static_cast<float>(number.to_number<double>()));
    }
    return row;
}

std::chrono::nanoseconds time_at(const json::object& from, std::string_view name) {
    return std::chrono::nanoseconds(static_cast<std::int64_t>(count_at(from, name).value_or(0)));
}

RemoteModel read_tag(const json::object& tag, std::string_view name) {
    RemoteModel model{.name = std::string(name),
                      .context_length = {},
                      .capabilities = {},
                      .created_unix = moment_at(tag, "modified_at")};
    if (const json::object* details = object_at(tag, "details")) {
        if (const auto length = count_at(*details, "context_length"); length && *length > 0) {
            model.context_length = length;
        }
    }
    if (const json::array* words = list_at(tag, "capabilities")) {
        for (const json::value& word : *words) {
            if (word.is_string()) model.capabilities.emplace_back(word.get_string());
        }
    }
    return model;
}

class OllamaWire final : public Wire {
  public:
    std::string_view kind() const override { return "ollama"; }

    Result<http::Call> generate(const GenerateRequest& request,
                                std::string_view model) const override {
        TRY(const json::object body, ollama_body(request, model));
        return post_json(request.operation == Operation::Chat ? "/api/chat" : "/api/generate",
                         body);
    }
    std::unique_ptr<WireStream> stream(const GenerateRequest& request, Stamp stamp) const override {
        return make_ollama_stream(request, std::move(stamp));
    }

    // Without inputs it loads the model.
    Result<http::Call> embed(const EmbedRequest& request, std::string_view model) const override {
        TRY_VOID(check_ollama_embed(request));
        TRY(json::array inputs, ollama_inputs(request));
        json::object body{{"model", model},
                          {"input", std::move(inputs)},
                          {"truncate", request.overflow != Overflow::Refuse}};
        if (request.dimensions) body["dimensions"] = *request.dimensions;
        if (request.keep_alive) body["keep_alive"] = ollama_keep_alive(*request.keep_alive);
        return post_json("/api/embed", body);
    }
    Result<EmbedReply> embedded(std::string_view body, const EmbedRequest& request) const override {
        TRY(const json::object answer, read_sound_answer(body));
        const json::array* list = list_at(answer, "embeddings");
        if (list == nullptr) return wrong_form("there are no embeddings");
        std::vector<std::vector<float>> rows;
        for (const json::value& value : *list) {
            TRY(std::vector<float> row, read_ollama_row(value));
            rows.push_back(std::move(row));
        }
        TRY(EmbedReply reply,
            make_reply(std::move(rows), request, count_at(answer, "prompt_eval_count")));
        reply.model = text_at(answer, "model");
        reply.load_time = time_at(answer, "load_duration");
        const auto total = time_at(answer, "total_duration");
        if (total > reply.load_time) reply.compute_time = total - reply.load_time;
        return reply;
    }

    Error error_of(int status, const http::Headers& headers, std::string_view body) const override {
        return remote_error(status, headers, body);
    }

    http::Call list_models() const override { return read_call("/api/tags"); }
    Result<std::vector<RemoteModel>> listed(std::string_view body) const override {
        TRY(const json::object answer, read_sound_answer(body));
        const json::array* tags = list_at(answer, "models");
        if (tags == nullptr) return wrong_form("there is no list of models");
        std::vector<RemoteModel> models;
        for (const json::value& tag : *tags) {
            if (!tag.is_object()) continue;
            std::string_view name = text_at(tag.get_object(), "model");
            if (name.empty()) name = text_at(tag.get_object(), "name");
            if (!name.empty()) models.push_back(read_tag(tag.get_object(), name));
        }
        return models;
    }
    http::Call probe() const override { return read_call("/api/version"); }
    std::optional<http::Call> describe(std::string_view model, bool verbose) const override {
        return post_json("/api/show", {{"model", model}, {"verbose", verbose}});
    }
};

}  // namespace

std::unique_ptr<Wire> make_ollama_wire() { return std::make_unique<OllamaWire>(); }

}  // namespace hearth::remote
