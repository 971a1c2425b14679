#include "api/model_defaults.h"
#include "api/ollama.h"
#include "api/ollama_generate.h"
#include "api/shorten.h"
#include "server/answer.h"
#include "server/caller.h"
#include "server/generate.h"
#include "server/surfaces.h"

// /api/generate and /api/chat.
namespace hearth::server {
namespace ollama = api::ollama;
namespace {

using inference::Dialect;

Awaitable<void> load_only(const Gateway& gateway, http::Exchange& exchange, ollama::TextCall call) {
    const auto view = gateway.directory.view();
    const models::Model* model = view->find(call.request.model);
    if (model != nullptr && model->gguf) api::apply_model_defaults(*model->gguf, call.request);
    const auto took = co_await gateway.serve.load(
        call.request.model,
        {.keep_alive = call.request.keep_alive, .context_min = call.request.context_min},
        Deadline::after(gateway.config.llama.start_time));
    if (!took) {
        co_await answer(exchange, ollama::encode_error(took.error()));
        co_return;
    }
    co_await answer(exchange, ollama::encode_loaded(call, call.request.model, *took));
}

// What the model's manifest and this dialect set where the caller set nothing. What a server
// elsewhere can do it says itself.
Result<void> complete(const Gateway& gateway, ollama::TextCall& call) {
    const auto view = gateway.directory.view();
    const models::Model* model = view->find(call.request.model);
    if (model == nullptr || model->home == models::Home::Elsewhere) return {};
    TRY_VOID(ollama::check_capabilities(call, *model));
    if (model->gguf) api::apply_model_defaults(*model->gguf, call.request);
    ollama::apply_dialect_defaults(call.request);
    return {};
}

Awaitable<void> run(const Gateway& gateway, http::Exchange& exchange, Result<ollama::TextCall> call,
                    Dialect dialect) {
    if (!call) {
        co_await answer(exchange, ollama::encode_error(call.error()));
        co_return;
    }
    if (call->load_only) {
        co_await load_only(gateway, exchange, *std::move(call));
        co_return;
    }
    if (const auto completed = complete(gateway, *call); !completed) {
        co_await answer(exchange, ollama::encode_error(completed.error()));
        co_return;
    }
    pipeline::Caller caller = *caller_of(exchange.request());
    call->request.original =
        std::make_shared<inference::Original>(dialect, exchange.take_request().body, call->stream);
    const auto writer = ollama::make_writer(*call, call->request.model);
    co_await generate(gateway, exchange, std::move(call->request), std::move(caller), *writer,
                      ollama::encode_error, call->truncate ? api::drop_oldest_messages : nullptr);
}

}  // namespace

Awaitable<void> ollama_generate(const Gateway& gateway, http::Exchange& exchange) {
    co_await run(gateway, exchange, ollama::parse_generate(exchange.request().body),
                 Dialect::OllamaGenerate);
}

Awaitable<void> ollama_chat(const Gateway& gateway, http::Exchange& exchange) {
    co_await run(gateway, exchange, ollama::parse_chat(exchange.request().body),
                 Dialect::OllamaChat);
}

}  // namespace hearth::server
