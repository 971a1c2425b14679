#include <boost/json.hpp>
#include <ctime>

#include "api/fim.h"
#include "api/model_defaults.h"
#include "api/openai.h"
#include "api/openai_generate.h"
#include "api/responses.h"
#include "api/shorten.h"
#include "server/answer.h"
#include "server/caller.h"
#include "server/generate.h"
#include "server/surfaces.h"
#include "telemetry/unique_id.h"

// /v1/responses, the counts of a prompt's tokens, and Mistral's /v1/fim/completions.
namespace hearth::server {
namespace openai = api::openai;
namespace responses = api::responses;
namespace fim = api::fim;
namespace {

// Names the model where only one can do it, and what its manifest sets where the caller set
// nothing.
Result<void> settle(const Gateway& gateway, inference::GenerateRequest& request,
                    std::string_view capability) {
    TRY_VOID(gateway.directory.name_only_one(request.model, capability));
    const auto view = gateway.directory.view();
    const models::Model* model = view->find(request.model);
    if (model != nullptr && model->gguf) api::apply_model_defaults(*model->gguf, request);
    return {};
}

// The prompt as the model would be given it, which the engine makes and counts itself.
Awaitable<Result<boost::json::value>> count(const Gateway& gateway,
                                            Result<openai::GenerateCall> call) {
    if (!call) co_return fail(std::move(call).error());
    inference::GenerateRequest& chat = call->request;
    CO_TRY_VOID(inference::check_translatable(chat));
    CO_TRY_VOID(settle(gateway, chat, "completion"));
    inference::InquiryRequest request{.model = std::move(chat.model),
                                      .inquiry = inference::Inquiry::CountTokens,
                                      .body = std::move(chat.body)};
    CO_TRY(const boost::json::object reply,
           co_await gateway.serve.inquire(std::move(request),
                                          Deadline::after(gateway.config.server.request_time)));
    const boost::json::value* tokens = reply.if_contains("input_tokens");
    if (tokens == nullptr || !tokens->is_number()) {
        co_return fail(Code::BadUpstream, "the engine did not say how many tokens the prompt has");
    }
    co_return boost::json::value{{"object", "response.input_tokens"}, {"input_tokens", *tokens}};
}

Awaitable<void> tell_count(const Gateway& gateway, http::Exchange& exchange,
                           Result<openai::GenerateCall> call) {
    const auto counted = co_await count(gateway, std::move(call));
    if (!counted) {
        co_await answer(exchange, openai::encode_error(counted.error()));
        co_return;
    }
    co_await answer(exchange, {.body = boost::json::serialize(*counted)});
}

}  // namespace

Awaitable<void> openai_responses(const Gateway& gateway, http::Exchange& exchange) {
    auto call = responses::parse(exchange.request().body);
    const Result<void> settled = call ? settle(gateway, call->chat.request, "completion")
                                      : Result<void>(std::unexpected(call.error()));
    if (!settled) {
        co_await answer(exchange, openai::encode_error(settled.error()));
        co_return;
    }
    const auto writer = responses::make_writer(
        *call, call->chat.request.model, {.id = unique_id(), .created_unix = std::time(nullptr)});
    co_await generate(gateway, exchange, std::move(call->chat.request),
                      *caller_of(exchange.request()), *writer, openai::encode_error,
                      call->truncate ? api::drop_oldest_messages : nullptr);
}

Awaitable<void> openai_responses_tokens(const Gateway& gateway, http::Exchange& exchange) {
    auto call = responses::parse(exchange.request().body);
    co_await tell_count(gateway, exchange,
                        call ? Result<openai::GenerateCall>(std::move(call->chat))
                             : Result<openai::GenerateCall>(std::unexpected(call.error())));
}

Awaitable<void> openai_chat_tokens(const Gateway& gateway, http::Exchange& exchange) {
    co_await tell_count(gateway, exchange, openai::parse_chat(exchange.request().body));
}

Awaitable<void> mistral_fim(const Gateway& gateway, http::Exchange& exchange) {
    auto call = fim::parse(exchange.request().body);
    const Result<void> settled = call ? settle(gateway, call->request, "insert")
                                      : Result<void>(std::unexpected(call.error()));
    if (!settled) {
        co_await answer(exchange, openai::encode_error(settled.error()));
        co_return;
    }
    const auto writer = fim::make_writer(
        *call, call->request.model, {.id = unique_id("fim-"), .created_unix = std::time(nullptr)});
    co_await generate(gateway, exchange, std::move(call->request), *caller_of(exchange.request()),
                      *writer, openai::encode_error);
}

}  // namespace hearth::server
