#include "api/tei.h"

#include <algorithm>
#include <array>

#include "api/embed_body.h"
#include "api/json_text.h"
#include "api/status.h"

namespace hearth::api::tei {
namespace {

using inference::EmbedReply;
using inference::EmbedRequest;
using inference::Overflow;

constexpr std::array<std::string_view, 5> kMembers = {"truncate", "truncation_direction",
                                                      "normalize", "prompt_name", "dimensions"};

struct ErrorKind {
    int status;
    std::string_view type;
};

ErrorKind error_kind(Code code) {
    switch (code) {
        case Code::InvalidArgument: return {422, "Validation"};
        case Code::Unauthenticated: return {401, "Unauthorized"};
        case Code::Forbidden: return {403, "Unauthorized"};
        case Code::NotFound: return {404, "Validation"};
        case Code::TooLarge: return {413, "Validation"};
        case Code::RateLimited:
        case Code::BudgetExhausted:
        case Code::Overloaded: return {429, "Overloaded"};
        case Code::Unsupported: return {422, "Validation"};
        case Code::Unavailable: return {503, "Unhealthy"};
        case Code::Cancelled: return {499, "Backend"};
        case Code::DeadlineExceeded:
        case Code::BadUpstream:
        case Code::Internal: return {424, "Backend"};
    }
    return {424, "Backend"};
}

std::string_view pooling_name(models::Pooling pooling) {
    switch (pooling) {
        case models::Pooling::Mean: return "mean";
        case models::Pooling::Cls: return "cls";
        case models::Pooling::LastToken: return "last_token";
    }
    return "mean";
}

std::string_view dtype_name(std::string_view precision) {
    if (precision == "F16") return "float16";
    if (precision == "BF16") return "bfloat16";
    return "float32";
}

void append_model_type(std::string& out, const models::Model& model) {
    if (std::ranges::find(model.capabilities, "rerank") != model.capabilities.end()) {
        out += R"(,"model_type":{"reranker":{"id2label":{"0":"LABEL_0"},)";
        out += R"("label2id":{"LABEL_0":0}}})";
        return;
    }
    out += R"(,"model_type":{"embedding":{"pooling":)";
    append_text(out, pooling_name(model.encoder.pooling));
    out += "}}";
}

void append_size(std::string& out, std::string_view member, std::size_t value) {
    out += ',';
    append_text(out, member);
    out += ':';
    append_integer(out, static_cast<std::uint64_t>(value));
}

}  // namespace

Result<Overflow> read_overflow(const Body& body) {
    TRY(const bool truncate, body.flag("truncate", false));
    TRY(const std::string direction, body.text("truncation_direction"));
    const bool left = direction == "Left" || direction == "left";
    if (!left && !direction.empty() && direction != "Right" && direction != "right") {
        return fail(
            wrong_member("truncation_direction", R"("Left" or "Right")", Scalar(direction)));
    }
    if (!truncate) return Overflow::Refuse;
    return left ? Overflow::CutLeft : Overflow::CutRight;
}

Result<EmbedRequest> parse_embed(std::string_view text) {
    TRY(Body body, read_body(text, {.input = "inputs", .members = kMembers, .token_ids = true}));
    EmbedRequest request;
    TRY_VOID(body.require_inputs("inputs"));
    TRY(request.overflow, read_overflow(body));
    TRY(request.normalize, body.flag("normalize", true));
    TRY(request.prompt_name, body.text("prompt_name"));
    TRY(request.dimensions, body.count("dimensions", 1));
    request.inputs = std::move(body.inputs);
    return request;
}

Reply encode_embed(const EmbedReply& reply) {
    Reply answer;
    answer.body.reserve(16 + reply.vectors.size() * 14);
    answer.body += '[';
    const std::span<const float> vectors(reply.vectors);
    for (std::size_t i = 0; i < reply.tokens.size(); ++i) {
        if (i > 0) answer.body += ',';
        append_vector(answer.body, vectors.subspan(i * reply.dimension, reply.dimension));
    }
    answer.body += ']';
    return answer;
}

Reply encode_info(const models::Model& model, std::string_view version,
                  const ServerLimits& limits) {
    Reply answer;
    std::string& out = answer.body;
    out += R"({"model_id":)";
    append_text(out, model.name);
    out += R"(,"model_sha":)";
    append_text(out, model.digest);
    out += R"(,"model_dtype":)";
    append_text(out, dtype_name(model.precision));
    append_model_type(out, model);
    append_size(out, "max_concurrent_requests", limits.requests_max);
    append_size(out, "max_input_length", model.context_length);
    append_size(out, "max_batch_tokens", limits.batch_tokens_max);
    out += R"(,"max_batch_requests":null)";
    append_size(out, "max_client_batch_size", BodyRules{}.inputs_max);
    out += R"(,"auto_truncate":false)";
    append_size(out, "tokenization_workers", limits.tokenizer_threads);
    out += R"(,"version":)";
    append_text(out, version);
    out += R"(,"sha":null,"docker_label":null})";
    return answer;
}

Reply encode_error(const Error& error) {
    const bool empty = error.code == Code::InvalidArgument && error.reason == "empty";
    const ErrorKind kind = empty ? ErrorKind{400, "Empty"} : error_kind(error.code);
    Reply answer{.status = kind.status, .retry_after = retry_after(error, kind.status)};
    answer.body += R"({"error":)";
    append_text(answer.body, error.message);
    answer.body += R"(,"error_type":)";
    append_text(answer.body, kind.type);
    answer.body += '}';
    return answer;
}

}  // namespace hearth::api::tei
