#include "api/ollama.h"
#include "api/ollama_manage.h"
#include "server/answer.h"
#include "server/model_store.h"
#include "server/progress_answer.h"
#include "server/pull.h"
#include "server/surfaces.h"

// /api/pull, /api/delete, /api/copy and DELETE /v1/models/...
namespace hearth::server {
namespace ollama = api::ollama;
namespace {

// Hands on what the downloader says, except that it is done: that is said once the model is served.
Awaitable<Result<void>> run_pull(PullProcess& process, ProgressAnswer& answer) {
    for (;;) {
        const std::vector<std::string> lines = co_await process.next_lines();
        if (lines.empty()) {
            co_return fail(Code::Internal, "the download ended without a word; pull it again");
        }
        for (const std::string& line : lines) {
            CO_TRY(const ollama::PullLine read, ollama::read_pull_line(line));
            if (read.success) co_return Result<void>();
            CO_TRY_VOID(co_await answer.line(line));
        }
    }
}

Awaitable<Result<void>> pull(const Gateway& gateway, const ollama::PullCall& call,
                             ProgressAnswer& answer) {
    CO_TRY_VOID(models::ModelName::parse(call.model));
    CO_TRY(const auto process, PullProcess::start(gateway.workers.current_io(),
                                                  {.store = gateway.store.store().root().string(),
                                                   .model = call.model,
                                                   .insecure = call.insecure}));
    CO_TRY_VOID(co_await run_pull(*process, answer));
    co_return co_await gateway.store.refresh();
}

Awaitable<void> answer_empty(http::Exchange& exchange, const Result<void>& done) {
    if (!done) {
        co_await answer(exchange, ollama::encode_error(done.error()));
    } else {
        co_await answer(exchange, {.content_type = "", .body = ""});
    }
}

}  // namespace

Awaitable<void> ollama_pull(const Gateway& gateway, http::Exchange& exchange) {
    const auto call = ollama::parse_pull(exchange.request().body);
    if (!call) {
        co_await answer(exchange, ollama::encode_error(call.error()));
        co_return;
    }
    ProgressAnswer out(exchange, call->stream);
    const auto done = co_await pull(gateway, *call, out);
    if (done) {
        co_await out.succeed();
    } else {
        co_await out.refuse(done.error());
    }
}

Awaitable<void> ollama_delete(const Gateway& gateway, http::Exchange& exchange) {
    auto model = ollama::parse_delete(exchange.request().body);
    if (!model) {
        co_await answer_empty(exchange, fail(std::move(model).error()));
        co_return;
    }
    co_await answer_empty(exchange, co_await gateway.store.remove(*std::move(model)));
}

Awaitable<void> ollama_copy(const Gateway& gateway, http::Exchange& exchange) {
    auto call = ollama::parse_copy(exchange.request().body);
    if (!call) {
        co_await answer_empty(exchange, fail(std::move(call).error()));
        co_return;
    }
    co_await answer_empty(exchange, co_await gateway.store.copy(call->source, call->destination));
}

}  // namespace hearth::server
