#include <boost/json.hpp>
#include <ctime>

#include "api/model_defaults.h"
#include "api/openai.h"
#include "api/openai_generate.h"
#include "http/head_parser.h"
#include "server/answer.h"
#include "server/caller.h"
#include "server/generate.h"
#include "server/surfaces.h"
#include "telemetry/unique_id.h"

// The routes that share llama-server's forms: the generating half of the OpenAI dialect, and
// llama-server's own, which editors' plug-ins for it call.
namespace hearth::server {
namespace openai = api::openai;
namespace {

using inference::Dialect;
using inference::Inquiry;

Awaitable<void> run(const Gateway& gateway, http::Exchange& exchange,
                    Result<openai::GenerateCall> call,
                    std::optional<Dialect> dialect = std::nullopt) {
    Result<void> named = call ? gateway.directory.name_only_one(call->request.model, "completion")
                              : Result<void>(std::unexpected(call.error()));
    if (!named) {
        co_await answer(exchange, openai::encode_error(named.error()));
        co_return;
    }
    pipeline::Caller caller = *caller_of(exchange.request());
    const auto view = gateway.directory.view();
    const models::Model* model = view->find(call->request.model);
    if (model != nullptr && model->gguf) api::apply_model_defaults(*model->gguf, call->request);
    if (dialect) {
        call->request.original = std::make_shared<inference::Original>(
            *dialect, exchange.take_request().body, call->stream, call->usage_wish);
    }
    const auto writer = openai::make_writer(
        *call, call->request.model, {.id = unique_id("cmpl-"), .created_unix = std::time(nullptr)});
    co_await generate(gateway, exchange, std::move(call->request), std::move(caller), *writer,
                      openai::encode_error);
}

Awaitable<Result<boost::json::object>> inquire(const Gateway& gateway,
                                               Result<inference::InquiryRequest> request) {
    if (!request) co_return fail(std::move(request).error());
    CO_TRY_VOID(gateway.directory.name_only_one(request->model, "completion"));
    co_return co_await gateway.serve.inquire(*std::move(request),
                                             Deadline::after(gateway.config.server.request_time));
}

Awaitable<void> tell(http::Exchange& exchange, const Result<boost::json::object>& reply) {
    if (!reply) {
        co_await answer(exchange, openai::encode_error(reply.error()));
        co_return;
    }
    co_await answer(exchange, {.body = boost::json::serialize(*reply)});
}

Awaitable<void> ask(const Gateway& gateway, http::Exchange& exchange, Inquiry inquiry) {
    co_await tell(exchange, co_await inquire(
                                gateway, openai::parse_inquiry(inquiry, exchange.request().body)));
}

}  // namespace

Awaitable<void> openai_chat(const Gateway& gateway, http::Exchange& exchange) {
    co_await run(gateway, exchange, openai::parse_chat(exchange.request().body),
                 Dialect::OpenAiChat);
}

Awaitable<void> openai_completions(const Gateway& gateway, http::Exchange& exchange) {
    co_await run(gateway, exchange, openai::parse_completion(exchange.request().body),
                 Dialect::OpenAiCompletion);
}

Awaitable<void> llama_completion(const Gateway& gateway, http::Exchange& exchange) {
    co_await run(gateway, exchange, openai::parse_native(exchange.request().body));
}

Awaitable<void> llama_infill(const Gateway& gateway, http::Exchange& exchange) {
    co_await run(gateway, exchange, openai::parse_infill(exchange.request().body));
}

Awaitable<void> llama_tokenize(const Gateway& gateway, http::Exchange& exchange) {
    co_await ask(gateway, exchange, Inquiry::Tokenize);
}

Awaitable<void> llama_detokenize(const Gateway& gateway, http::Exchange& exchange) {
    co_await ask(gateway, exchange, Inquiry::Detokenize);
}

Awaitable<void> llama_apply_template(const Gateway& gateway, http::Exchange& exchange) {
    co_await ask(gateway, exchange, Inquiry::ApplyTemplate);
}

// As its router does, the model is named in the query. Where its file lies is nobody's business.
Awaitable<void> llama_props(const Gateway& gateway, http::Exchange& exchange) {
    const inference::InquiryRequest request{
        .model = http::query_value(exchange.request().query, "model"),
        .inquiry = Inquiry::Properties,
        .body = {}};
    auto reply = co_await inquire(gateway, request);
    if (reply) reply->erase("model_path");
    co_await tell(exchange, reply);
}

}  // namespace hearth::server
