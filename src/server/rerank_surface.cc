#include "api/rerank.h"
#include "server/answer.h"
#include "server/caller.h"
#include "server/surfaces.h"
#include "telemetry/unique_id.h"

namespace hearth::server {
namespace {

using api::RerankShape;

Awaitable<void> run_rerank(const Gateway& gateway, http::Exchange& exchange, RerankShape shape) {
    auto call = api::parse_rerank(exchange.request().body, shape);
    Result<void> named = call ? gateway.directory.name_only_one(call->request.model, "rerank")
                              : Result<void>(std::unexpected(call.error()));
    if (!named) {
        co_await answer(exchange, api::encode_rerank_error(named.error(), shape));
        co_return;
    }
    auto served =
        co_await gateway.serve.rerank(call->request, *caller_of(exchange.request()),
                                      Deadline::after(gateway.config.server.request_time));
    if (!served) {
        co_await answer(exchange, api::encode_rerank_error(served.error(), shape));
        co_return;
    }
    co_await answer(
        exchange, api::encode_rerank(served->reply, *call, shape, unique_id()),
        {served->reply.model, served->backend, std::move(served->steps), served->outcome});
}

}  // namespace

Awaitable<void> rerank(const Gateway& gateway, http::Exchange& exchange) {
    co_await run_rerank(gateway, exchange, api::rerank_shape(exchange.request().body));
}

Awaitable<void> cohere_rerank(const Gateway& gateway, http::Exchange& exchange) {
    co_await run_rerank(gateway, exchange, RerankShape::Cohere);
}

}  // namespace hearth::server
