#include "backends/remote/upstream.h"

#include <algorithm>

#include "base/format.h"

namespace hearth::remote {
namespace {

constexpr std::chrono::milliseconds kPauseMax{60'000};
constexpr std::size_t kIdleConnectionsMax = 64;
constexpr std::size_t kLogitsMax = 4096;  // models of which it is known

metrics::Counter outcome(metrics::Registry& registry, const std::string& upstream,
                         const char* outcome) {
    return registry.counter("hearth_upstream_requests_total",
                            "Calls to servers elsewhere by what became of them",
                            {{"upstream", upstream}, {"outcome", outcome}});
}

http::ClientOptions client_options(const UpstreamOptions& options,
                                   std::shared_ptr<const http::TlsContext> tls) {
    return {.connect_time = options.connect_time,
            .idle_connections_max = kIdleConnectionsMax,
            .limits = {.header = options.header_time,
                       .first_byte = options.first_token_time,
                       .idle = options.idle_time},
            .tls = std::move(tls),
            .lost_time =
                options.lost_time.count() > 0 ? std::optional(options.lost_time) : std::nullopt,
            .server_name = options.url.host};
}

// "/v1" may stand at the end of the address and at the beginning of every target.
std::string joined(std::string_view base, std::string_view target) {
    constexpr std::string_view kVersion = "/v1";
    if (base.ends_with(kVersion) && target.starts_with("/v1/")) {
        base.remove_suffix(kVersion.size());
    }
    return std::string(base).append(target);
}

std::chrono::milliseconds until(Upstream::Clock::time_point when) {
    const auto left = when - Upstream::Clock::now();
    return std::max(std::chrono::milliseconds(1),
                    std::chrono::ceil<std::chrono::milliseconds>(left));
}

// Whether an error says that the server fails; a caller's own fault, or departure, does not.
bool is_servers(const Error& error, int status) {
    switch (error.code) {
        case Code::Unavailable:
        case Code::BadUpstream: return status < 400 || status >= 500;
        case Code::DeadlineExceeded: return status == 0;
        case Code::Internal: return true;
        case Code::Unsupported: return false;
        default: return status >= 500;
    }
}

// Of a call that is not made: a deadline that was over before says nothing of the server.
Error too_late(const std::string& name) {
    return {.code = Code::DeadlineExceeded,
            .message = format("there was no time left to ask {}", name),
            .reason = "total_timeout"};
}

}  // namespace

UpstreamMetrics::UpstreamMetrics(metrics::Registry& registry, const std::string& upstream)
    : succeeded(outcome(registry, upstream, "ok")),
      failed(outcome(registry, upstream, "failed")),
      refused(outcome(registry, upstream, "refused")),
      limited(outcome(registry, upstream, "limited")),
      left(outcome(registry, upstream, "left")),
      held_back(outcome(registry, upstream, "held_back")),
      up(registry.gauge("hearth_upstream_up", "1 where calls are sent, 0 where they are held back",
                        {{"upstream", upstream}})),
      queued(registry.gauge("hearth_upstream_queued", "Calls that wait for their turn",
                            {{"upstream", upstream}})) {}

Upstream::Upstream(runtime::Shards& shards, UpstreamOptions options, std::unique_ptr<Wire> wire,
                   UpstreamMetrics metrics)
    : shards_(shards),
      options_(std::move(options)),
      wire_(std::move(wire)),
      metrics_(metrics),
      tls_(options_.url.tls ? std::make_shared<const http::TlsContext>(options_.tls) : nullptr),
      breaker_(options_.breaker),
      limiter_(options_.concurrency, options_.queue, metrics_.queued),
      clients_(shards.size()) {
    CHECK(wire_ != nullptr);
    // Here, on no shard, it may read files. What is wrong with them each connection says.
    if (tls_ != nullptr) (void)tls_->load();
    metrics_.up.set(1);
}

// Connections belong to their shard, also at their end.
Upstream::~Upstream() {
    for (std::size_t shard = 0; shard < clients_.size(); ++shard) {
        if (clients_[shard] == nullptr) continue;
        shards_.post(shard, [client = std::move(clients_[shard])] {});
    }
}

std::string Upstream::identity_of(const std::string& model) const {
    const ServerUrl& url = options_.url;
    return format("{}\n{}://{}{}\n{}\n{}", options_.kind, url.tls ? "https" : "http", url.address,
                  url.base, model, options_.settings);
}

inference::Health Upstream::health() const {
    const auto now = Clock::now();
    if (breaker_.state(now) == Breaker::State::Open) return inference::Health::Down;
    if (now.time_since_epoch().count() < paused_until_.load()) return inference::Health::Down;
    return inference::Health::Ready;
}

Upstream::Visit::Visit(Visit&& other) noexcept
    : upstream_(std::exchange(other.upstream_, nullptr)),
      pass_(std::move(other.pass_)),
      permit_(std::move(other.permit_)) {}

Upstream::Visit::~Visit() {
    if (upstream_ != nullptr) upstream_->metrics_.left.add();
}

void Upstream::Visit::succeeded() {
    pass_.succeeded();
    Upstream* upstream = std::exchange(upstream_, nullptr);
    upstream->metrics_.succeeded.add();
    upstream->settle_up();
}

void Upstream::Visit::failed(const Error& error, int status) {
    if (error.code == Code::Cancelled) return;  // told by the destructor
    Upstream* upstream = std::exchange(upstream_, nullptr);
    const auto now = Clock::now();
    const bool wants_pause = status == 429 || (status == 503 && error.retry_after);
    if (wants_pause) {
        pass_.succeeded();
        upstream->metrics_.limited.add();
        if (error.retry_after) upstream->pause_until(now + std::min(*error.retry_after, kPauseMax));
    } else if (is_servers(error, status)) {
        pass_.failed(now);
        upstream->metrics_.failed.add();
    } else if (error.code == Code::DeadlineExceeded) {
        upstream->metrics_.failed.add();
    } else {
        pass_.succeeded();
        upstream->metrics_.refused.add();
    }
    upstream->settle_up();
}

void Upstream::settle_up() {
    const MutexLock lock(up_mutex_);
    if (!retired_) metrics_.up.set(health() == inference::Health::Ready ? 1 : 0);
}

void Upstream::retire() {
    const MutexLock lock(up_mutex_);
    if (!std::exchange(retired_, true)) metrics_.up.remove();
}

void Upstream::pause_until(Clock::time_point when) {
    Clock::rep seen = paused_until_.load();
    const Clock::rep wanted = when.time_since_epoch().count();
    while (seen < wanted && !paused_until_.compare_exchange_weak(seen, wanted)) {
    }
}

std::optional<Error> Upstream::pause() const {
    const Clock::time_point end{Clock::duration(paused_until_.load())};
    if (Clock::now() >= end) return std::nullopt;
    return Error{.code = Code::RateLimited,
                 .message = format("{} has asked for a pause", options_.name),
                 .reason = "upstream_paused",
                 .retry_after = until(end)};
}

Error Upstream::left_alone() const {
    return {
        .code = Code::Unavailable,
        .message = format("{} has failed repeatedly and is left alone for a while", options_.name),
        .reason = "breaker_open",
        .retry_after = until(breaker_.retry_at())};
}

std::unexpected<Error> Upstream::held_back(Error error) const {
    metrics_.held_back.add();
    return fail(std::move(error));
}

Awaitable<Result<Upstream::Visit>> Upstream::visit(Deadline deadline) {
    // Nobody queues for a server that is not asked.
    if (auto paused = pause()) co_return held_back(*std::move(paused));
    if (breaker_.state(Clock::now()) == Breaker::State::Open) co_return held_back(left_alone());
    auto permit = co_await limiter_.acquire(deadline.earlier(Deadline::after(options_.queue_time)));
    if (!permit) co_return held_back(std::move(permit).error().within(options_.name));
    // Both may have come while it waited.
    if (auto paused = pause()) co_return held_back(*std::move(paused));
    if (deadline.passed()) co_return held_back(too_late(options_.name));
    auto pass = breaker_.pass(Clock::now());
    if (!pass) co_return held_back(left_alone());
    co_return Visit(*this, *std::move(pass), *std::move(permit));
}

Error Upstream::told(Error error) const {
    if (error.discreet.empty()) return error;
    return std::move(error).within(options_.name).told();
}

http::Client& Upstream::client() {
    std::unique_ptr<http::Client>& client = clients_[shards_.current()];
    if (client == nullptr) {
        client =
            std::make_unique<http::Client>(options_.url.address, client_options(options_, tls_));
    }
    return *client;
}

http::Call Upstream::addressed(http::Call call) const {
    call.target = joined(options_.url.base, call.target);
    for (const auto& [name, value] : options_.headers) call.headers.add(name, value);
    return call;
}

Awaitable<Result<Upstream::Asked>> Upstream::ask(http::Call call, Deadline deadline) {
    if (deadline.passed()) co_return fail(too_late(options_.name));
    auto pass = breaker_.pass(Clock::now());
    if (!pass) co_return fail(left_alone());
    Visit visited(*this, *std::move(pass), std::nullopt);
    auto reply = co_await client().send(addressed(std::move(call)), deadline);
    if (!reply) {
        visited.failed(reply.error(), 0);
        co_return fail(std::move(reply).error());
    }
    co_return Asked{.visit = std::move(visited), .reply = *std::move(reply)};
}

Awaitable<Result<std::vector<RemoteModel>>> Upstream::list_models(Deadline deadline) {
    CO_TRY(Asked asked, co_await ask(wire_->list_models(), deadline));
    const http::Reply& reply = asked.reply;
    if (reply.status != 200) {
        Error error = wire_->error_of(reply.status, reply.headers, reply.body);
        asked.visit.failed(error, reply.status);
        co_return fail(std::move(error));
    }
    auto models = wire_->listed(reply.body);
    if (models) {
        asked.visit.succeeded();
    } else {
        asked.visit.failed(models.error(), reply.status);
    }
    co_return models;
}

bool Upstream::gives_logits(const std::string& model, bool seen) {
    const MutexLock lock(logits_mutex_);
    if (seen && logits_of_.size() < kLogitsMax) logits_of_.insert(model);
    return seen || logits_of_.contains(model);
}

}  // namespace hearth::remote
