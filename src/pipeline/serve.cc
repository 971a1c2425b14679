#include "pipeline/serve.h"

namespace hearth::pipeline {
namespace {

using Clock = std::chrono::steady_clock;

void settle(const ModelMetrics& metrics, const Result<inference::EmbedReply>& reply,
            Clock::duration took) {
    metrics.seconds.observe(std::chrono::duration<double>(took).count());
    if (!reply) {
        metrics.failed.add();
        return;
    }
    double tokens = 0;
    for (const auto count : reply->tokens) tokens += count;
    metrics.succeeded.add();
    metrics.texts.add(static_cast<double>(reply->tokens.size()));
    metrics.tokens.add(tokens);
}

}  // namespace

ModelMetrics::ModelMetrics(metrics::Registry& registry, const std::string& model)
    : succeeded(registry.counter("hearth_requests_total", "Requests by model and outcome",
                                 {{"model", model}, {"operation", "embed"}, {"outcome", "ok"}})),
      failed(registry.counter("hearth_requests_total", "Requests by model and outcome",
                              {{"model", model}, {"operation", "embed"}, {"outcome", "error"}})),
      texts(registry.counter("hearth_embedding_texts_total", "Texts embedded", {{"model", model}})),
      tokens(registry.counter("hearth_embedding_tokens_total",
                              "Tokens embedded, special tokens included", {{"model", model}})),
      seconds(registry.histogram("hearth_request_seconds", "Time from routing to the answer",
                                 {{"model", model}, {"operation", "embed"}})) {}

Awaitable<Result<Served>> Serve::embed(inference::EmbedRequest request, Deadline deadline) const {
    const auto start = Clock::now();
    // route: the model decides everything that follows.
    CO_TRY(const auto target, route_(request.model));
    const auto routed = Clock::now();
    // call: with the caller's deadline; retries belong to the backend, which knows what was sent.
    auto reply = co_await target->backend->embed(std::move(request), deadline);
    const auto called = Clock::now();
    // settle: every outcome is counted, failures too.
    settle(target->metrics, reply, called - start);
    if (!reply) co_return std::unexpected(std::move(reply).error());
    Served served{.reply = *std::move(reply), .backend = target->backend->info().name, .steps = {}};
    served.steps = {{"route", routed - start},
                    {"queue", served.reply.queue_time},
                    {"compute", served.reply.compute_time},
                    {"call", called - routed}};
    co_return served;
}

}  // namespace hearth::pipeline
