#include <boost/json.hpp>
#include <optional>
#include <utility>

#include "api/gguf_info.h"
#include "api/ollama.h"
#include "models/gguf.h"
#include "server/answer.h"
#include "server/caller.h"
#include "server/surfaces.h"

namespace hearth::server {
namespace ollama = api::ollama;
namespace {

using Clock = std::chrono::steady_clock;

Awaitable<Result<pipeline::Served>> serve(const Gateway& gateway, const http::Exchange& exchange,
                                          Result<inference::EmbedRequest> request) {
    if (!request) co_return std::unexpected(std::move(request).error());
    co_return co_await gateway.serve.embed(*std::move(request), *caller_of(exchange.request()),
                                           Deadline::after(gateway.config.server.request_time));
}

Provenance provenance_of(pipeline::Served& served) {
    return {served.reply.model, served.backend, std::move(served.steps), served.outcome};
}

// Empty when the file is no longer what the catalogue saw: the rest is worth showing still.
api::GgufInfo describe(const std::filesystem::path& file, bool verbose) {
    if (file.empty()) return {};
    const auto header = models::read_gguf_header(file);
    return header ? api::describe_gguf(*header, verbose) : api::GgufInfo();
}

api::Reply show(const models::Model& model, bool verbose) {
    if (!model.gguf) return ollama::encode_show(model);
    return ollama::encode_show(model, describe(model.gguf->file, verbose),
                               describe(model.gguf->projector, false));
}

// What its server says of it, or where that has no such words, what is known here.
Awaitable<Result<api::Reply>> show_elsewhere(const Gateway& gateway, ollama::ShowCall call,
                                             std::optional<models::Model> known) {
    inference::InquiryRequest request{.model = call.model,
                                      .inquiry = inference::Inquiry::Describe,
                                      .body = {{"verbose", call.verbose}}};
    auto told = co_await gateway.serve.inquire(std::move(request),
                                               Deadline::after(gateway.config.server.request_time));
    if (told) co_return api::Reply{.body = boost::json::serialize(*told)};
    if (told.error().code != Code::Unsupported) co_return fail(std::move(told).error());
    if (!known) co_return fail(unknown_model(call.model));
    co_return ollama::encode_show(*known);
}

}  // namespace

Awaitable<void> ollama_alive(const Gateway&, http::Exchange& exchange) {
    co_await answer(exchange, ollama::encode_alive());
}

Awaitable<void> ollama_embed(const Gateway& gateway, http::Exchange& exchange) {
    const auto start = Clock::now();
    auto request = ollama::parse_embed(exchange.request().body);
    const std::string asked = request ? request->model : std::string();
    auto served = co_await serve(gateway, exchange, std::move(request));
    if (!served) {
        co_await answer(exchange, ollama::encode_error(served.error()));
        co_return;
    }
    co_await answer(exchange, ollama::encode_embed(served->reply, asked, Clock::now() - start),
                    provenance_of(*served));
}

Awaitable<void> ollama_embeddings(const Gateway& gateway, http::Exchange& exchange) {
    auto served =
        co_await serve(gateway, exchange, ollama::parse_embeddings(exchange.request().body));
    if (!served) {
        co_await answer(exchange, ollama::encode_error(served.error()));
        co_return;
    }
    co_await answer(exchange, ollama::encode_embeddings(served->reply), provenance_of(*served));
}

Awaitable<void> ollama_tags(const Gateway& gateway, http::Exchange& exchange) {
    const auto view = gateway.directory.view();
    co_await answer(exchange, ollama::encode_tags(view->models));
}

Awaitable<void> ollama_show(const Gateway& gateway, http::Exchange& exchange) {
    const auto call = ollama::parse_show(exchange.request().body);
    if (!call) {
        co_await answer(exchange, ollama::encode_error(call.error()));
        co_return;
    }
    auto model = gateway.directory.find(call->model);
    Result<api::Reply> reply = api::Reply();
    if (model && model->home != models::Home::Elsewhere) {
        reply = co_await gateway.store.read<api::Reply>(
            [model = *std::move(model), verbose = call->verbose]() -> Result<api::Reply> {
                return show(model, verbose);
            });
    } else {
        reply = co_await show_elsewhere(gateway, *call, std::move(model));
    }
    co_await answer(exchange, reply ? *std::move(reply) : ollama::encode_error(reply.error()));
}

Awaitable<void> ollama_ps(const Gateway& gateway, http::Exchange& exchange) {
    const auto snapshot = gateway.workers.snapshot();
    co_await answer(exchange, ollama::encode_ps(gateway.workers.running(*snapshot)));
}

Awaitable<void> ollama_version(const Gateway&, http::Exchange& exchange) {
    co_await answer(exchange, ollama::encode_version(HEARTH_VERSION));
}

}  // namespace hearth::server
