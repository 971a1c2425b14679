// Anthropic's Messages API. Source: platform.claude.com/docs: Messages, Streaming, Structured
// outputs (output_config.format), Effort, Errors, List Models.
#include <array>
#include <boost/json.hpp>
#include <utility>

#include "backends/remote/anthropic_request.h"
#include "backends/remote/anthropic_stream.h"
#include "backends/remote/members.h"
#include "backends/remote/remote_error.h"
#include "backends/remote/wire.h"
#include "backends/remote/wire_json.h"

namespace hearth::remote {
namespace {

namespace json = boost::json;
using inference::EmbedReply;
using inference::EmbedRequest;
using inference::GenerateRequest;

constexpr std::string_view kAnthropicVersion = "2023-06-01";

http::Call with_version(http::Call call) {
    call.headers.add("anthropic-version", kAnthropicVersion);
    return call;
}

std::unexpected<Error> no_embeddings() {
    return cannot(kAnthropicKind, {}, "make embeddings", "ask a local embedding model");
}

bool supports(const json::object& capabilities, std::string_view name) {
    const json::object* one = object_at(capabilities, name);
    return one != nullptr && flag_at(*one, "supported");
}

RemoteModel read_claude(const json::object& model) {
    RemoteModel out{.name = std::string(text_at(model, "id")),
                    .context_length = count_at(model, "max_input_tokens"),
                    .capabilities = {"completion", "tools"},
                    .created_unix = moment_at(model, "created_at")};
    if (const json::object* capabilities = object_at(model, "capabilities")) {
        if (supports(*capabilities, "image_input")) out.capabilities.emplace_back("vision");
        if (supports(*capabilities, "thinking")) out.capabilities.emplace_back("thinking");
    }
    return out;
}

class AnthropicWire final : public Wire {
  public:
    std::string_view kind() const override { return "anthropic"; }

    Result<http::Call> generate(const GenerateRequest& request,
                                std::string_view model) const override {
        TRY(const json::object body, anthropic_body(request, model));
        return with_version(post_json("/v1/messages", body));
    }
    std::unique_ptr<WireStream> stream(const GenerateRequest& request, Stamp stamp) const override {
        return make_anthropic_stream(request, std::move(stamp));
    }

    Result<http::Call> embed(const EmbedRequest&, std::string_view) const override {
        return no_embeddings();
    }
    Result<EmbedReply> embedded(std::string_view, const EmbedRequest&) const override {
        return no_embeddings();
    }

    Error error_of(int status, const http::Headers& headers, std::string_view body) const override {
        return remote_error(status, headers, body);
    }

    // A page is at most a thousand models long.
    http::Call list_models() const override {
        return with_version(read_call("/v1/models?limit=1000"));
    }
    Result<std::vector<RemoteModel>> listed(std::string_view body) const override {
        TRY(const json::object answer, read_sound_answer(body));
        const json::array* data = list_at(answer, "data");
        if (data == nullptr) return wrong_form("there is no list of models");
        std::vector<RemoteModel> models;
        for (const json::value& item : *data) {
            if (!item.is_object() || text_at(item.get_object(), "id").empty()) continue;
            models.push_back(read_claude(item.get_object()));
        }
        return models;
    }
    http::Call probe() const override { return with_version(read_call("/v1/models?limit=1")); }
};

}  // namespace

std::unique_ptr<Wire> make_anthropic_wire() { return std::make_unique<AnthropicWire>(); }

}  // namespace hearth::remote
