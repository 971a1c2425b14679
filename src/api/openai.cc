#include "api/openai.h"

#include <algorithm>
#include <array>
#include <numeric>

#include "api/embed_body.h"
#include "api/json_text.h"
#include "api/status.h"
#include "base/encoding.h"
#include "base/format.h"

namespace hearth::api::openai {
namespace {

using inference::EmbedReply;

constexpr std::array<std::string_view, 4> kMembers = {"model", "encoding_format", "dimensions",
                                                      "user"};
constexpr std::size_t kTokensMax = 300'000;

Result<VectorFormat> read_format(const Body& body) {
    TRY(const std::string format, body.text("encoding_format"));
    if (format.empty() || format == "float") return VectorFormat::Float;
    if (format == "base64") return VectorFormat::Base64;
    return fail(wrong_member("encoding_format", "\"float\" or \"base64\"", Scalar(format)));
}

void append_embedding(std::string& out, std::span<const float> vector, VectorFormat format) {
    if (format == VectorFormat::Float) {
        append_vector(out, vector);
        return;
    }
    out += '"';
    append_base64(out, std::as_bytes(vector));
    out += '"';
}

// Room for all vectors at once; a shortest float takes about 13 characters with its comma.
std::size_t body_bytes(const EmbedReply& reply, VectorFormat format) {
    const std::size_t per_value = format == VectorFormat::Float ? 14 : 6;
    return 256 + reply.tokens.size() * 64 + reply.vectors.size() * per_value;
}

void append_model(std::string& out, const models::Model& model) {
    out += R"({"id":)";
    append_text(out, model.name);
    out += R"(,"object":"model","created":)";
    append_integer(out, model.modified_unix_ns / 1'000'000'000);
    out += R"(,"owned_by":"hearth"})";
}

struct ErrorKind {
    int status;
    std::string_view type;
    std::string_view code;  // when the error brings no reason of its own
};

ErrorKind error_kind(Code code) {
    switch (code) {
        case Code::InvalidArgument: return {400, "invalid_request_error", ""};
        case Code::Unauthenticated: return {401, "authentication_error", "invalid_api_key"};
        case Code::Forbidden: return {403, "permission_error", ""};
        case Code::NotFound: return {404, "not_found_error", ""};
        case Code::TooLarge: return {413, "invalid_request_error", ""};
        case Code::RateLimited: return {429, "rate_limit_error", "rate_limit_exceeded"};
        case Code::BudgetExhausted: return {429, "rate_limit_error", "insufficient_quota"};
        case Code::Overloaded: return {503, "unavailable_error", "overloaded"};
        case Code::DeadlineExceeded: return {504, "server_error", "deadline_exceeded"};
        case Code::Cancelled: return {499, "invalid_request_error", "cancelled"};
        case Code::Unsupported: return {501, "not_supported_error", ""};
        case Code::Unavailable: return {503, "unavailable_error", ""};
        case Code::BadUpstream: return {502, "server_error", "bad_upstream"};
        case Code::Internal: return {500, "server_error", ""};
    }
    return {500, "server_error", ""};
}

}  // namespace

Result<EmbeddingsCall> parse_embeddings(std::string_view text) {
    TRY(Body body, read_body(text, {.input = "input", .members = kMembers, .token_ids = true}));
    EmbeddingsCall call;
    TRY(call.request.model, body.text("model"));
    TRY_VOID(body.require_inputs("input"));
    TRY(call.format, read_format(body));
    TRY(call.request.dimensions, body.count("dimensions", 1));
    TRY(const std::string user, body.text("user"));
    call.request.inputs = std::move(body.inputs);
    call.request.tokens_max = kTokensMax;
    return call;
}

Reply encode_embeddings(const EmbedReply& reply, VectorFormat format, std::string_view model) {
    Reply answer;
    std::string& out = answer.body;
    out.reserve(body_bytes(reply, format));
    out += R"({"object":"list","data":[)";
    const std::span<const float> vectors(reply.vectors);
    for (std::size_t i = 0; i < reply.tokens.size(); ++i) {
        out += i == 0 ? R"({"object":"embedding","index":)" : R"(,{"object":"embedding","index":)";
        append_integer(out, static_cast<std::uint64_t>(i));
        out += R"(,"embedding":)";
        append_embedding(out, vectors.subspan(i * reply.dimension, reply.dimension), format);
        out += '}';
    }
    out += R"(],"model":)";
    append_text(out, model);
    const std::uint64_t tokens =
        std::accumulate(reply.tokens.begin(), reply.tokens.end(), std::uint64_t{0});
    out += R"(,"usage":{"prompt_tokens":)";
    append_integer(out, tokens);
    out += R"(,"total_tokens":)";
    append_integer(out, tokens);
    out += "}}";
    return answer;
}

Reply encode_models(std::span<const models::Model> models) {
    Reply answer{.body = R"({"object":"list","data":[)"};
    for (const models::Model& model : models) {
        if (&model != models.data()) answer.body += ',';
        append_model(answer.body, model);
    }
    answer.body += "]}";
    return answer;
}

Reply encode_model(const models::Model& model) {
    Reply answer;
    append_model(answer.body, model);
    return answer;
}

Reply encode_deleted(std::string_view name) {
    Reply answer{.body = R"({"id":)"};
    append_text(answer.body, name);
    answer.body += R"(,"object":"model","deleted":true})";
    return answer;
}

Reply encode_error(const Error& error) {
    const ErrorKind kind = error_kind(error.code);
    Reply answer{.status = kind.status, .retry_after = retry_after(error, kind.status)};
    std::string& out = answer.body;
    out += R"({"error":{"message":)";
    append_text(out, error.message);
    out += R"(,"type":)";
    append_text(out, kind.type);
    out += R"(,"param":)";
    append_text_or_null(out, error.param);
    out += R"(,"code":)";
    append_text_or_null(out, error.reason.empty() ? kind.code : error.reason);
    out += "}}";
    return answer;
}

}  // namespace hearth::api::openai
