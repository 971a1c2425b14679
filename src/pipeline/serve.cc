#include "pipeline/serve.h"

#include "pipeline/kept_answer.h"
#include "pipeline/kept_scores.h"
#include "pipeline/kept_texts.h"

namespace hearth::pipeline {
namespace {

using Clock = std::chrono::steady_clock;
using inference::EmbedReply;
using inference::EmbedRequest;
using inference::GenerateReply;
using inference::GenerateRequest;
using inference::RerankReply;
using inference::RerankRequest;

// Every outcome is counted, failures too.
template <class Metrics, class Reply>
void settle(const Metrics& metrics, const Result<Reply>& reply, Clock::duration took) {
    metrics.seconds.observe(std::chrono::duration<double>(took).count());
    if (reply) {
        metrics.succeeded.add();
    } else {
        (reply.error().code == Code::Cancelled ? metrics.left : metrics.failed).add();
    }
}

// Passes everything on and notes when the first and the last token came. Of an answer that comes
// whole at its end the first is the one that was kept.
class MeteringSink final : public inference::Sink {
  public:
    explicit MeteringSink(inference::Sink& next) : next_(next) {}

    // Of whoever begins from now on.
    void set_outcome(Outcome outcome) { outcome_ = outcome; }

    void begin(inference::Origin origin) override {
        origin.outcome = outcome_;
        next_.begin(std::move(origin));
    }
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

    Outcome outcome() const { return outcome_; }
    bool said_something() const { return first_ != Clock::time_point{}; }
    Clock::time_point first() const { return first_; }
    Clock::time_point last() const { return last_; }

  private:
    void note_time() {
        last_ = Clock::now();
        if (first_ == Clock::time_point{}) first_ = last_;
    }

    inference::Sink& next_;
    Outcome outcome_ = Outcome::Bypass;
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
    if (sink.said_something() && sink.outcome() != Outcome::HitMemory)
        metrics.first_token_seconds.observe(seconds_of(sink.first() - start));
    if (!reply) {
        (reply.error().code == Code::Cancelled ? metrics.left : metrics.failed).add();
        return;
    }
    metrics.succeeded.add();
    // Nothing was made.
    if (sink.outcome() == Outcome::HitMemory) return;
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

namespace {

std::unexpected<Error> not_kept() {
    return fail(
        {.code = Code::NotFound,
         .message = "no such answer is kept, and \"x-hearth-cache: only\" asks for no other",
         .reason = "not_cached"});
}

// Of before the look-up, so that a clear which comes later kills what is being made.
cache::Answers::Making begin_making(const cache::Answers& answers, const Target& target,
                                    const Caller& caller, cache::Space space,
                                    const cache::Key& key) {
    return {.space = space,
            .key = key,
            .model = target.backend->info().model,
            .tenant = caller.tenant,
            .life = caller.cache.life,
            .clears = answers.clears()};
}

// call: with the caller's deadline; retries belong to the backend, which knows what was sent.
Awaitable<Result<EmbedReply>> call_embed(const Target& target, EmbedRequest request,
                                         Deadline deadline) {
    auto reply = co_await target.backend->embed(std::move(request), deadline);
    if (!reply) co_return reply;
    double tokens = 0;
    for (const auto count : reply->tokens) tokens += count;
    target.metrics.texts.add(static_cast<double>(reply->tokens.size()));
    target.metrics.tokens.add(tokens);
    co_return reply;
}

// Only the texts that are not kept are made. What is wrong with one of them is said as of the whole
// call, in which it stands elsewhere.
Awaitable<Result<EmbedReply>> embed_missing(const Target& target, const EmbedRequest& request,
                                            const KeptTexts& kept, Deadline deadline) {
    const auto start = Clock::now();
    auto made = co_await call_embed(target, kept.missing(), deadline);
    if (!made && made.error().code != Code::InvalidArgument) co_return made;
    if (made) {
        auto together = kept.together(*std::move(made), Clock::now() - start);
        if (together) co_return *std::move(together);
    }
    co_return co_await call_embed(target, request, deadline);
}

// look up: a hit costs no backend, and no model has to be loaded for it.
Awaitable<Result<EmbedReply>> find_or_embed(const Target& target, cache::Answers* answers,
                                            EmbedRequest request, const Caller& caller,
                                            Deadline deadline, Outcome& outcome) {
    if (answers == nullptr || request.inputs.empty()) {
        co_return co_await call_embed(target, std::move(request), deadline);
    }
    const std::string model = target.backend->info().model;
    const KeptTexts kept(*answers, target.identity, model, request, caller);
    if (kept.is_complete()) {
        if (auto whole = kept.together({}, {})) {
            outcome = Outcome::HitMemory;
            co_return *std::move(whole);
        }
    }
    outcome = Outcome::Miss;
    if (caller.cache.mode == cache::Mode::Only) co_return not_kept();
    if (kept.is_complete()) co_return co_await call_embed(target, request, deadline);
    co_return co_await embed_missing(target, request, kept, deadline);
}

Awaitable<Result<RerankReply>> call_rerank(const Target& target, RerankRequest request,
                                           Deadline deadline) {
    auto reply = co_await target.backend->rerank(std::move(request), deadline);
    if (!reply) co_return reply;
    target.rerank_metrics.documents.add(static_cast<double>(reply->scores.size()));
    target.rerank_metrics.tokens.add(static_cast<double>(reply->tokens));
    co_return reply;
}

// The same as find_or_embed, of a whole answer.
Awaitable<Result<RerankReply>> find_or_rerank(const Target& target, cache::Answers* answers,
                                              RerankRequest request, const Caller& caller,
                                              Deadline deadline, Outcome& outcome) {
    if (answers == nullptr) {
        co_return co_await call_rerank(target, std::move(request), deadline);
    }
    auto making = begin_making(*answers, target, caller, cache::Space::Rerank,
                               key_of(request, target.identity, caller));
    if (cache::looks_up(caller.cache.mode)) {
        const auto found = answers->find(making.space, making.key);
        auto reply = found ? scores_of(*found->entry, request.documents.size()) : std::nullopt;
        if (reply) {
            outcome = Outcome::HitMemory;
            reply->model = std::move(making.model);
            co_return *std::move(reply);
        }
    }
    outcome = Outcome::Miss;
    if (caller.cache.mode == cache::Mode::Only) co_return not_kept();
    const auto start = Clock::now();
    auto reply = co_await call_rerank(target, std::move(request), deadline);
    if (reply && !reply->stands_in && cache::keeps(caller.cache.mode)) {
        answers->keep(std::move(making), payload_of(*reply),
                      std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - start));
    }
    co_return reply;
}

}  // namespace

// What is not to be looked up or kept, or cannot be told from others, is none of the cache's
// business.
cache::Answers* Serve::answers_for(const Target& target, const Caller& caller) const {
    const bool is_asked = caller.cache.mode != cache::Mode::Off && !target.identity.empty();
    return is_asked ? answers_ : nullptr;
}

// Who wishes nothing of his own gets what the model's configuration says.
void Serve::set_mode(Caller& caller, const Target& target) const {
    if (caller.cache.mode != cache::Mode::Auto || !mode_of_) return;
    caller.cache.mode = mode_of_(target.backend->info().model);
}

Awaitable<Result<Served>> Serve::embed(EmbedRequest request, Caller caller,
                                       Deadline deadline) const {
    const auto start = Clock::now();
    // route: the model decides everything that follows.
    CO_TRY(const auto target, route_(request.model));
    const auto routed = Clock::now();
    set_mode(caller, *target);
    Served served{.reply = {}, .backend = target->backend->info().name, .steps = {}};
    Unsettled unsettled(target->metrics.left);
    auto reply = co_await find_or_embed(*target, answers_for(*target, caller), std::move(request),
                                        caller, deadline, served.outcome);
    unsettled.settled();
    const auto called = Clock::now();
    settle(target->metrics, reply, called - start);
    if (!reply) co_return std::unexpected(std::move(reply).error());
    served.reply = *std::move(reply);
    if (!served.reply.backend.empty()) served.backend = served.reply.backend;
    served.steps = {{"route", routed - start},
                    {"queue", served.reply.queue_time},
                    {"compute", served.reply.compute_time},
                    {"call", called - routed}};
    co_return served;
}

// The same steps as embed's.
Awaitable<Result<Reranked>> Serve::rerank(RerankRequest request, Caller caller,
                                          Deadline deadline) const {
    const auto start = Clock::now();
    CO_TRY(const auto target, route_(request.model));
    const auto routed = Clock::now();
    set_mode(caller, *target);
    Reranked served{.reply = {}, .backend = target->backend->info().name, .steps = {}};
    Unsettled unsettled(target->rerank_metrics.left);
    auto reply = co_await find_or_rerank(*target, answers_for(*target, caller), std::move(request),
                                         caller, deadline, served.outcome);
    unsettled.settled();
    const auto called = Clock::now();
    settle(target->rerank_metrics, reply, called - start);
    if (!reply) co_return std::unexpected(std::move(reply).error());
    served.reply = *std::move(reply);
    if (!served.reply.backend.empty()) served.backend = served.reply.backend;
    served.steps = {{"route", routed - start},
                    {"compute", served.reply.compute_time},
                    {"call", called - routed}};
    co_return served;
}

namespace {

Awaitable<Result<GenerateReply>> call_generate(const Target& target, const GenerateRequest& request,
                                               inference::Sink& sink, Deadline deadline) {
    const inference::BackendInfo info = target.backend->info();
    sink.begin({.model = info.model, .backend = info.name});
    co_return co_await target.backend->generate(request, sink, deadline);
}

// What only the caller's dialect has words for is kept where it is answered in them.
bool may_be_kept(const GenerateRequest& request, const Caller& caller, bool relays) {
    if (request.untranslatable != nullptr && !relays) return false;
    return caller.cache.mode != cache::Mode::Auto || is_repeatable(request);
}

// The same as find_or_rerank.
Awaitable<Result<GenerateReply>> find_or_generate(const Target& target, cache::Answers* answers,
                                                  const GenerateRequest& request,
                                                  const Caller& caller, MeteringSink& sink,
                                                  Deadline deadline) {
    const bool relays = request.original != nullptr && sink.relays() &&
                        target.backend->relays(request.original->dialect);
    if (answers == nullptr || !may_be_kept(request, caller, relays)) {
        if (caller.cache.mode == cache::Mode::Only) co_return not_kept();
        co_return co_await call_generate(target, request, sink, deadline);
    }
    auto making = begin_making(*answers, target, caller, space_of(request),
                               key_of(request, target.identity, caller, relays));
    if (cache::looks_up(caller.cache.mode)) {
        const auto found = answers->find(making.space, making.key);
        auto kept = found ? KeptAnswer::read(*found->entry) : std::nullopt;
        if (kept) {
            sink.set_outcome(Outcome::HitMemory);
            co_return co_await kept->say(sink);
        }
    }
    if (caller.cache.mode == cache::Mode::Only) co_return not_kept();
    sink.set_outcome(Outcome::Miss);
    KeepingSink keeping(sink, request.operation, relays);
    const auto start = Clock::now();
    auto reply = co_await call_generate(target, request, keeping, deadline);
    if (!reply || reply->stands_in || !cache::keeps(caller.cache.mode)) co_return reply;
    if (auto payload = keeping.payload(*reply)) {
        answers->keep(std::move(making), *std::move(payload),
                      std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - start));
    }
    co_return reply;
}

}  // namespace

Awaitable<Result<GenerateReply>> Serve::generate(const GenerateRequest& request, Caller caller,
                                                 inference::Sink& sink, Deadline deadline) const {
    const auto start = Clock::now();
    CO_TRY(const auto target, route_(request.model));
    set_mode(caller, *target);
    MeteringSink metered(sink);
    Unsettled unsettled(target->generate_metrics.left);
    auto reply = co_await find_or_generate(*target, answers_for(*target, caller), request, caller,
                                           metered, deadline);
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
