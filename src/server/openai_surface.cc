#include "api/openai.h"
#include "base/format.h"
#include "server/answer.h"
#include "server/caller.h"
#include "server/surfaces.h"

namespace hearth::server {
namespace openai = api::openai;
namespace {

constexpr std::string_view kModelPath = "/v1/models/";

}  // namespace

Awaitable<void> openai_embeddings(const Gateway& gateway, http::Exchange& exchange) {
    auto call = openai::parse_embeddings(exchange.request().body);
    Result<void> named = call ? gateway.directory.name_only_one(call->request.model, "embedding")
                              : Result<void>(std::unexpected(call.error()));
    if (!named) {
        co_await answer(exchange, openai::encode_error(named.error()));
        co_return;
    }
    const std::string asked = call->request.model;
    auto served =
        co_await gateway.serve.embed(std::move(call->request), *caller_of(exchange.request()),
                                     Deadline::after(gateway.config.server.request_time));
    if (!served) {
        co_await answer(exchange, openai::encode_error(served.error()));
        co_return;
    }
    co_await answer(
        exchange, openai::encode_embeddings(served->reply, call->format, asked),
        {served->reply.model, served->backend, std::move(served->steps), served->outcome});
}

Awaitable<void> openai_models(const Gateway& gateway, http::Exchange& exchange) {
    if (speaks_anthropic(exchange.request())) {
        co_await anthropic_models(gateway, exchange);
        co_return;
    }
    const auto view = gateway.directory.view();
    co_await answer(exchange, openai::encode_models(view->models));
}

Awaitable<void> openai_model(const Gateway& gateway, http::Exchange& exchange) {
    if (speaks_anthropic(exchange.request())) {
        co_await anthropic_model(gateway, exchange);
        co_return;
    }
    const std::string name = exchange.request().path.substr(kModelPath.size());
    const auto model = gateway.directory.find(name);
    auto reply = model ? openai::encode_model(*model) : openai::encode_error(unknown_model(name));
    co_await answer(exchange, std::move(reply));
}

Awaitable<void> openai_delete_model(const Gateway& gateway, http::Exchange& exchange) {
    const std::string name = exchange.request().path.substr(kModelPath.size());
    const auto removed = co_await gateway.store.remove(name);
    co_await answer(exchange,
                    removed ? openai::encode_deleted(name) : openai::encode_error(removed.error()));
}

}  // namespace hearth::server
