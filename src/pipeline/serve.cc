#include "pipeline/serve.h"

namespace hearth::pipeline {
namespace {

using Clock = std::chrono::steady_clock;

void settle(const ModelMetrics& metrics, const Result<inference::EmbedReply>& reply,
            Clock::duration took) {
    metrics.seconds.observe(std::chrono::duration<double>(took).count());
    if (!reply) {
        (reply.error().code == Code::Cancelled ? metrics.left : metrics.failed).add();
        return;
    }
    double tokens = 0;
    for (const auto count : reply->tokens) tokens += count;
    metrics.succeeded.add();
    metrics.texts.add(static_cast<double>(reply->tokens.size()));
    metrics.tokens.add(tokens);
}

void settle(const RerankMetrics& metrics, const Result<inference::RerankReply>& reply,
            Clock::duration took) {
    metrics.seconds.observe(std::chrono::duration<double>(took).count());
    if (!reply) {
        (reply.error().code == Code::Cancelled ? metrics.left : metrics.failed).add();
        return;
    }
    metrics.succeeded.add();
    metrics.documents.add(static_cast<double>(reply->scores.size()));
    metrics.tokens.add(static_cast<double>(reply->tokens));
}

// Passes everything on and notes when the first and the last token came. Of an answer that comes
// whole at its end the first is the one that was kept.
class MeteringSink final : public inference::Sink {
  public:
    explicit MeteringSink(inference::Sink& next) : next_(next) {}

    void begin(inference::Origin origin) override { next_.begin(std::move(origin)); }
    Awaitable<Result<void>> push(boost::json::object event) override {
        note_time();
        co_return co_await next_.push(std::move(event));
    }
    Awaitable<Result<void>> alive() override { co_return co_await next_.alive(); }
    bool relays() const override { return next_.relays(); }
    bool shows_at_once() const override { return next_.shows_at_once(); }
    void first_word() override { first_ = last_ = Clock::now(); }
    Awaitable<Result<void>> relay(std::string_view bytes, bool says) override {
        note_time();
        co_return co_await next_.relay(bytes, says);
    }

    bool said_something() const { return first_ != Clock::time_point{}; }
    Clock::time_point first() const { return first_; }
    Clock::time_point last() const { return last_; }

  private:
    void note_time() {
        last_ = Clock::now();
        if (first_ == Clock::time_point{}) first_ = last_;
    }

    inference::Sink& next_;
    Clock::time_point first_{};
    Clock::time_point last_{};
};

// A caller who leaves ends the coroutine that serves it by an exception: counted all the same.
class Unsettled {
  public:
    explicit Unsettled(const metrics::Counter& left) : left_(&left) {}
    ~Unsettled() {
        if (left_ != nullptr) left_->add();
    }
    Unsettled(const Unsettled&) = delete;
    Unsettled& operator=(const Unsettled&) = delete;
    void settled() { left_ = nullptr; }

  private:
    const metrics::Counter* left_;
};

double seconds_of(Clock::duration time) { return std::chrono::duration<double>(time).count(); }

void add(const metrics::Counter& counter, const std::optional<std::uint64_t>& count) {
    if (count) counter.add(static_cast<double>(*count));
}

void settle(const GenerateMetrics& metrics, const Result<inference::GenerateReply>& reply,
            const MeteringSink& sink, Clock::time_point start) {
    metrics.seconds.observe(seconds_of(Clock::now() - start));
    if (sink.said_something())
        metrics.first_token_seconds.observe(seconds_of(sink.first() - start));
    if (!reply) {
        (reply.error().code == Code::Cancelled ? metrics.left : metrics.failed).add();
        return;
    }
    metrics.succeeded.add();
    const inference::Usage& usage = reply->usage;
    add(metrics.prompt_tokens, usage.prompt_tokens);
    add(metrics.cached_tokens, usage.cached_tokens);
    add(metrics.completion_tokens, usage.completion_tokens);
    if (usage.completion_tokens && *usage.completion_tokens > 1) {
        const auto others = static_cast<double>(*usage.completion_tokens - 1);
        metrics.per_token_seconds.observe(seconds_of(sink.last() - sink.first()) / others);
    }
}

}  // namespace

GenerateMetrics::GenerateMetrics(metrics::Registry& registry, const std::string& model)
    : succeeded(registry.counter("hearth_requests_total", "Requests by model and outcome",
                                 {{"model", model}, {"operation", "generate"}, {"outcome", "ok"}})),
      failed(registry.counter("hearth_requests_total", "Requests by model and outcome",
                              {{"model", model}, {"operation", "generate"}, {"outcome", "error"}})),
      left(registry.counter("hearth_requests_total", "Requests by model and outcome",
                            {{"model", model}, {"operation", "generate"}, {"outcome", "left"}})),
      prompt_tokens(registry.counter("hearth_prompt_tokens_total",
                                     "Tokens of prompts, cached ones included",
                                     {{"model", model}})),
      cached_tokens(registry.counter("hearth_cached_tokens_total",
                                     "Tokens of prompts that the engine still had",
                                     {{"model", model}})),
      completion_tokens(registry.counter("hearth_completion_tokens_total", "Tokens generated",
                                         {{"model", model}})),
      seconds(registry.histogram("hearth_request_seconds", "Time from routing to the answer",
                                 {{"model", model}, {"operation", "generate"}})),
      first_token_seconds(registry.histogram("hearth_first_token_seconds",
                                             "Time from routing to the first token",
                                             {{"model", model}})),
      per_token_seconds(registry.histogram("hearth_token_seconds",
                                           "Mean time per token of an answer after its first",
                                           {{"model", model}})) {}

RerankMetrics::RerankMetrics(metrics::Registry& registry, const std::string& model)
    : succeeded(registry.counter("hearth_requests_total", "Requests by model and outcome",
                                 {{"model", model}, {"operation", "rerank"}, {"outcome", "ok"}})),
      failed(registry.counter("hearth_requests_total", "Requests by model and outcome",
                              {{"model", model}, {"operation", "rerank"}, {"outcome", "error"}})),
      left(registry.counter("hearth_requests_total", "Requests by model and outcome",
                            {{"model", model}, {"operation", "rerank"}, {"outcome", "left"}})),
      documents(registry.counter("hearth_rerank_documents_total", "Documents reranked",
                                 {{"model", model}})),
      tokens(registry.counter("hearth_rerank_tokens_total",
                              "Tokens of queries and documents reranked, special tokens included",
                              {{"model", model}})),
      seconds(registry.histogram("hearth_request_seconds", "Time from routing to the answer",
                                 {{"model", model}, {"operation", "rerank"}})) {}

ModelMetrics::ModelMetrics(metrics::Registry& registry, const std::string& model)
    : succeeded(registry.counter("hearth_requests_total", "Requests by model and outcome",
                                 {{"model", model}, {"operation", "embed"}, {"outcome", "ok"}})),
      failed(registry.counter("hearth_requests_total", "Requests by model and outcome",
                              {{"model", model}, {"operation", "embed"}, {"outcome", "error"}})),
      left(registry.counter("hearth_requests_total", "Requests by model and outcome",
                            {{"model", model}, {"operation", "embed"}, {"outcome", "left"}})),
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
    Unsettled unsettled(target->metrics.left);
    auto reply = co_await target->backend->embed(std::move(request), deadline);
    unsettled.settled();
    const auto called = Clock::now();
    // settle: every outcome is counted, failures too.
    settle(target->metrics, reply, called - start);
    if (!reply) co_return std::unexpected(std::move(reply).error());
    Served served{.reply = *std::move(reply), .backend = target->backend->info().name, .steps = {}};
    if (!served.reply.backend.empty()) served.backend = served.reply.backend;
    served.steps = {{"route", routed - start},
                    {"queue", served.reply.queue_time},
                    {"compute", served.reply.compute_time},
                    {"call", called - routed}};
    co_return served;
}

// The same steps as embed's.
Awaitable<Result<Reranked>> Serve::rerank(inference::RerankRequest request,
                                          Deadline deadline) const {
    const auto start = Clock::now();
    CO_TRY(const auto target, route_(request.model));
    const auto routed = Clock::now();
    Unsettled unsettled(target->rerank_metrics.left);
    auto reply = co_await target->backend->rerank(std::move(request), deadline);
    unsettled.settled();
    const auto called = Clock::now();
    settle(target->rerank_metrics, reply, called - start);
    if (!reply) co_return std::unexpected(std::move(reply).error());
    Reranked served{
        .reply = *std::move(reply), .backend = target->backend->info().name, .steps = {}};
    if (!served.reply.backend.empty()) served.backend = served.reply.backend;
    served.steps = {{"route", routed - start},
                    {"compute", served.reply.compute_time},
                    {"call", called - routed}};
    co_return served;
}

Awaitable<Result<inference::GenerateReply>> Serve::generate(
    const inference::GenerateRequest& request, inference::Sink& sink, Deadline deadline) const {
    const auto start = Clock::now();
    CO_TRY(const auto target, route_(request.model));
    const inference::BackendInfo info = target->backend->info();
    sink.begin({.model = info.model, .backend = info.name});
    MeteringSink metered(sink);
    Unsettled unsettled(target->generate_metrics.left);
    auto reply = co_await target->backend->generate(request, metered, deadline);
    unsettled.settled();
    settle(target->generate_metrics, reply, metered, start);
    co_return reply;
}

Awaitable<Result<boost::json::object>> Serve::inquire(inference::InquiryRequest request,
                                                      Deadline deadline) const {
    CO_TRY(const auto target, route_(request.model));
    co_return co_await target->backend->inquire(std::move(request), deadline);
}

Awaitable<Result<std::chrono::nanoseconds>> Serve::load(std::string_view model,
                                                        inference::LoadRequest request,
                                                        Deadline deadline) const {
    CO_TRY(const auto target, route_(model));
    co_return co_await target->backend->load(request, deadline);
}

}  // namespace hearth::pipeline
