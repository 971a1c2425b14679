#include "server/routes.h"

#include <algorithm>
#include <string>

#include "api/anthropic.h"
#include "api/ollama.h"
#include "api/openai.h"
#include "api/rerank.h"
#include "api/tei.h"
#include "base/format.h"
#include "server/answer.h"
#include "server/caller.h"
#include "server/host_guard.h"
#include "server/surfaces.h"
#include "telemetry/unique_id.h"

namespace hearth::server {
namespace {

using http::Method;

constexpr Route kRoutes[] = {
    {Method::Post, "/v1/embeddings", openai_embeddings},
    {Method::Post, "/v1/messages", anthropic_messages},
    {Method::Post, "/v1/messages/count_tokens", anthropic_count_tokens},
    {Method::Post, "/v1/chat/completions", openai_chat},
    {Method::Post, "/v1/chat/completions/input_tokens", openai_chat_tokens},
    {Method::Post, "/v1/completions", openai_completions},
    {Method::Post, "/v1/responses", openai_responses},
    {Method::Post, "/v1/responses/input_tokens", openai_responses_tokens},
    {Method::Post, "/v1/fim/completions", mistral_fim},
    {Method::Post, "/v1/rerank", rerank},
    {Method::Post, "/v1/reranking", rerank},
    {Method::Post, "/v2/rerank", cohere_rerank},
    {Method::Get, "/v1/models", openai_models},
    {Method::Get, "/v1/models/", openai_model, true},
    {Method::Delete, "/v1/models/", openai_delete_model, true},
    {Method::Get, "/", ollama_alive},
    {Method::Post, "/api/generate", ollama_generate},
    {Method::Post, "/api/chat", ollama_chat},
    {Method::Post, "/api/embed", ollama_embed},
    {Method::Post, "/api/embeddings", ollama_embeddings},
    {Method::Get, "/api/tags", ollama_tags},
    {Method::Post, "/api/show", ollama_show},
    {Method::Get, "/api/ps", ollama_ps},
    {Method::Get, "/api/version", ollama_version},
    {Method::Post, "/api/pull", ollama_pull},
    {Method::Delete, "/api/delete", ollama_delete},
    {Method::Post, "/api/copy", ollama_copy},
    {Method::Post, "/api/create", ollama_create},
    {Method::Head, "/api/blobs/", ollama_has_blob, true},
    {Method::Post, "/api/blobs/", ollama_put_blob, true},
    {Method::Get, "/api/memory", memory},
    {Method::Get, "/api/cache/stats", cache_stats},
    {Method::Post, "/api/cache/clear", cache_clear},
    {Method::Post, "/api/cache/prune", cache_prune},
    // What callers of llama-server leave out of the paths.
    {Method::Post, "/chat/completions", openai_chat},
    {Method::Post, "/chat/completions/input_tokens", openai_chat_tokens},
    {Method::Post, "/responses", openai_responses},
    {Method::Post, "/responses/input_tokens", openai_responses_tokens},
    {Method::Post, "/completions", llama_completion},
    {Method::Get, "/models", openai_models},
    {Method::Post, "/rerank", rerank},
    {Method::Post, "/reranking", rerank},
    {Method::Post, "/completion", llama_completion},
    {Method::Post, "/infill", llama_infill},
    {Method::Post, "/tokenize", llama_tokenize},
    {Method::Post, "/detokenize", llama_detokenize},
    {Method::Post, "/apply-template", llama_apply_template},
    {Method::Get, "/props", llama_props},
    {Method::Post, "/embed", tei_embed},
    {Method::Get, "/info", tei_info},
    {Method::Get, "/health", health},
    {Method::Get, "/health/live", health_live},
    {Method::Get, "/health/ready", health_ready},
    {Method::Get, "/metrics", metrics_text},
};

bool matches(const Route& route, std::string_view path) {
    if (!route.prefix) return path == route.path;
    return path.size() > route.path.size() && path.starts_with(route.path);
}

bool serves(const Route& route, Method method) {
    return method == route.method || (method == Method::Head && route.method == Method::Get);
}

api::Reply encode_error_for(std::string_view path, const Error& error) {
    if (path.starts_with("/api/")) return api::ollama::encode_error(error);
    if (path == "/embed" || path == "/info") return api::tei::encode_error(error);
    if (path == "/v2/rerank") {
        return api::encode_rerank_error(error, api::RerankShape::Cohere);
    }
    return api::openai::encode_error(error);
}

Code code_of(int status) {
    if (status == 413) return Code::TooLarge;
    return status >= 500 ? Code::Internal : Code::InvalidArgument;
}

// `allow`: of a 405.
Awaitable<void> answer_error(http::Exchange& exchange, const Error& error, std::string allow = {}) {
    const auto& request = exchange.request();
    Provenance provenance{.allow = std::move(allow)};
    api::Reply reply;
    if (speaks_anthropic(request)) {
        provenance.request_id = unique_id();
        reply = api::anthropic::encode_error(error, provenance.request_id);
    } else {
        reply = encode_error_for(request.path, error);
    }
    if (!provenance.allow.empty()) reply.status = 405;
    co_await answer(exchange, std::move(reply), std::move(provenance));
}

Awaitable<void> refuse(http::Exchange& exchange, std::string allowed) {
    const auto& request = exchange.request();
    if (allowed.empty()) {
        const Error error{.code = Code::NotFound,
                          .message = format("{} {} is not a route of this server",
                                            http::to_string(request.method), request.path),
                          .reason = "route_not_found"};
        co_await answer_error(exchange, error);
        co_return;
    }
    const Error error{.code = Code::InvalidArgument,
                      .message = format("{} takes {}, not {}", request.path, allowed,
                                        http::to_string(request.method)),
                      .reason = "method_not_allowed"};
    co_await answer_error(exchange, error, std::move(allowed));
}

}  // namespace

std::span<const Route> routes() { return kRoutes; }

std::string refusal_body(int status, std::string_view message, const http::Request* head) {
    if (head == nullptr) return {};
    const Error error{.code = code_of(status), .message = std::string(message)};
    if (speaks_anthropic(*head)) return api::anthropic::encode_error(error, unique_id("req_")).body;
    return encode_error_for(head->path, error).body;
}

Awaitable<void> dispatch(const Gateway& gateway, http::Exchange& exchange) {
    const auto& request = exchange.request();
    if (request.peer != "unix" &&
        !is_local_host(request.headers.find("host").value_or(""), own_host_name())) {
        const Error error{.code = Code::Forbidden,
                          .message =
                              "the Host field names a foreign site; address this server as "
                              "localhost",
                          .reason = "host_not_allowed"};
        co_await answer_error(exchange, error);
        co_return;
    }
    if (const auto caller = caller_of(request); !caller) {
        co_await answer_error(exchange, caller.error());
        co_return;
    }
    std::string allowed;
    for (const auto& route : kRoutes) {
        if (!matches(route, request.path)) continue;
        if (serves(route, request.method)) {
            co_await route.handle(gateway, exchange);
            co_return;
        }
        allowed += (allowed.empty() ? "" : ", ") + std::string(http::to_string(route.method));
    }
    co_await refuse(exchange, std::move(allowed));
}

}  // namespace hearth::server
