#include "api/tei.h"
#include "server/answer.h"
#include "server/surfaces.h"

namespace hearth::server {
namespace tei = api::tei;
namespace {

constexpr std::string_view kDefaultModel = "all-minilm";

// This dialect names no model: the default one, else the first there is.
const models::Model* served_model(const Workers::Snapshot& snapshot) {
    if (const auto* model = snapshot.catalogue.find(kDefaultModel)) return model;
    const auto& all = snapshot.catalogue.models();
    return all.empty() ? nullptr : &all.front();
}

}  // namespace

Awaitable<void> tei_embed(const Gateway& gateway, http::Exchange& exchange) {
    auto request = tei::parse_embed(exchange.request().body);
    const auto snapshot = gateway.workers.snapshot();
    const auto* model = served_model(*snapshot);
    if (!request || model == nullptr) {
        co_await answer(
            exchange, tei::encode_error(request ? unknown_model(kDefaultModel) : request.error()));
        co_return;
    }
    request->model = model->name;
    auto served = co_await gateway.serve.embed(*std::move(request),
                                               Deadline::after(gateway.config.server.request_time));
    if (!served) {
        co_await answer(exchange, tei::encode_error(served.error()));
        co_return;
    }
    co_await answer(exchange, tei::encode_embed(served->reply),
                    {served->reply.model, served->backend, std::move(served->steps)});
}

Awaitable<void> tei_info(const Gateway& gateway, http::Exchange& exchange) {
    const auto snapshot = gateway.workers.snapshot();
    const auto* model = served_model(*snapshot);
    if (model == nullptr) {
        co_await answer(exchange, tei::encode_error(unknown_model(kDefaultModel)));
        co_return;
    }
    const api::ServerLimits limits{.requests_max = gateway.config.server.http.connections_max,
                                   .batch_tokens_max = gateway.config.encoder.batch_tokens_max};
    co_await answer(exchange, tei::encode_info(*model, HEARTH_VERSION, limits));
}

}  // namespace hearth::server
