#include <algorithm>

#include "api/tei.h"
#include "server/answer.h"
#include "server/caller.h"
#include "server/surfaces.h"

namespace hearth::server {
namespace tei = api::tei;
namespace {

constexpr std::string_view kDefaultModel = "all-minilm";

// This dialect names no model: the default one, else the first that embeds, else the first there
// is; those of this machine before those of servers elsewhere.
const models::Model* served_model(const Directory::View& view) {
    if (const auto* model = view.find(kDefaultModel)) return model;
    for (const bool elsewhere : {false, true}) {
        for (const models::Model& model : view.models) {
            const bool embeds =
                std::ranges::find(model.capabilities, "embedding") != model.capabilities.end();
            if (embeds && (model.home == models::Home::Elsewhere) == elsewhere) return &model;
        }
    }
    const auto& local = view.local->catalogue.models();
    return local.empty() ? nullptr : &local.front();
}

}  // namespace

Awaitable<void> tei_embed(const Gateway& gateway, http::Exchange& exchange) {
    auto request = tei::parse_embed(exchange.request().body);
    const auto view = gateway.directory.view();
    const auto* model = served_model(*view);
    if (!request || model == nullptr) {
        co_await answer(
            exchange, tei::encode_error(request ? unknown_model(kDefaultModel) : request.error()));
        co_return;
    }
    request->model = model->name;
    auto served = co_await gateway.serve.embed(*std::move(request), *caller_of(exchange.request()),
                                               Deadline::after(gateway.config.server.request_time));
    if (!served) {
        co_await answer(exchange, tei::encode_error(served.error()));
        co_return;
    }
    co_await answer(
        exchange, tei::encode_embed(served->reply),
        {served->reply.model, served->backend, std::move(served->steps), served->outcome});
}

Awaitable<void> tei_info(const Gateway& gateway, http::Exchange& exchange) {
    const auto view = gateway.directory.view();
    const auto* model = served_model(*view);
    if (model == nullptr) {
        co_await answer(exchange, tei::encode_error(unknown_model(kDefaultModel)));
        co_return;
    }
    const api::ServerLimits limits{.requests_max = gateway.config.server.http.connections_max,
                                   .batch_tokens_max = gateway.config.encoder.batch_tokens_max};
    co_await answer(exchange, tei::encode_info(*model, HEARTH_VERSION, limits));
}

}  // namespace hearth::server
