#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "backends/remote/breaker.h"
#include "backends/remote/limiter.h"
#include "backends/remote/server_url.h"
#include "backends/remote/wire.h"
#include "base/error.h"
#include "base/thread_safety.h"
#include "http/client.h"
#include "inference/backend.h"
#include "runtime/awaitable.h"
#include "runtime/deadline.h"
#include "runtime/shard.h"
#include "telemetry/metrics.h"

namespace hearth::remote {

// A server elsewhere, as configured.
struct UpstreamOptions {
    std::string name;  // ours: "box"
    std::string kind;  // of its wire
    ServerUrl url;
    std::string settings;  // how its models are asked, as far as their answers depend on it
    std::vector<std::pair<std::string, std::string>> headers;  // of every call, keys included
    http::TlsOptions tls;                                      // where the address is https
    std::size_t concurrency = 64;                              // calls at a time
    std::size_t queue = 256;                                   // calls that wait for their turn
    std::chrono::milliseconds queue_time{30'000};
    std::chrono::milliseconds connect_time{2'000};
    std::chrono::milliseconds lost_time{10'000};     // without a sign of its machine; 0: for ever
    std::chrono::milliseconds header_time{120'000};  // of a stream: request sent to status
    std::chrono::milliseconds first_token_time{120'000};
    std::chrono::milliseconds idle_time{60'000};  // between two pieces of an answer
    std::chrono::milliseconds total_time{600'000};
    BreakerOptions breaker;
};

struct UpstreamMetrics {
    UpstreamMetrics(metrics::Registry& registry, const std::string& upstream);
    metrics::Counter succeeded;
    metrics::Counter failed;     // its fault: unreachable, late, malformed, 5xx
    metrics::Counter refused;    // it answered 4xx
    metrics::Counter limited;    // 429, or 503 with a time to come again
    metrics::Counter left;       // by our caller before the end
    metrics::Counter held_back;  // not sent: breaker, pause or queue
    metrics::Gauge up;
    metrics::Gauge queued;  // by all upstreams of the name: one that is retired has callers yet
};

// The calls to one server elsewhere: connections of each shard, its breaker, its limit and queue,
// its pause after it said that it has enough. Thread-safe; must be destroyed while no call runs.
class Upstream {
  public:
    using Clock = std::chrono::steady_clock;

    // `wire` is never null.
    Upstream(runtime::Shards& shards, UpstreamOptions options, std::unique_ptr<Wire> wire,
             UpstreamMetrics metrics);
    ~Upstream();
    Upstream(const Upstream&) = delete;
    Upstream& operator=(const Upstream&) = delete;

    const UpstreamOptions& options() const { return options_; }
    const Wire& wire() const { return *wire_; }
    // As of inference::Backend::identity, of one of its models. What stands behind the name there
    // can change without notice, which is why what is kept of it expires.
    std::string identity_of(const std::string& model) const;
    inference::Health health() const;
    // Whether it is up is told no more: another takes its name, or nobody. Calls may still be made.
    // Before another of its name is made with the same registry.
    void retire() EXCLUDES(up_mutex_);

    // The right to make one call, and the duty to say what became of it. A visit that ends without
    // a word was left by its caller. The upstream must outlive it.
    class Visit {
      public:
        Visit(Visit&& other) noexcept;
        Visit& operator=(Visit&&) = delete;
        ~Visit();
        // A part of the answer has come.
        void answers() { pass_.answers(); }
        void succeeded();
        // What an error says of the server: nothing (the caller has left, or his time is over),
        // that it works (4xx), that it wants a pause, or that it fails. `status`: of its answer; 0:
        // none came.
        void failed(const Error& error, int status);

      private:
        friend class Upstream;
        Visit(Upstream& upstream, Breaker::Pass pass, std::optional<Limiter::Permit> permit)
            : upstream_(&upstream), pass_(std::move(pass)), permit_(std::move(permit)) {}
        Upstream* upstream_;
        Breaker::Pass pass_;
        std::optional<Limiter::Permit> permit_;
    };
    // Errors: Unavailable (reason "breaker_open"), RateLimited (reason "upstream_paused"),
    // Overloaded (reason "queue_full"), all with retry_after; DeadlineExceeded (reason
    // "queue_timeout", or "total_timeout" where nothing is left of it for the call).
    Awaitable<Result<Visit>> visit(Deadline deadline);

    // An error of its client's as our callers are told it: with our name of the server in place of
    // its address.
    Error told(Error error) const;

    // The connections of the shard this runs on.
    http::Client& client();
    // The call with the base path, the keys and the headers of the configuration.
    http::Call addressed(http::Call call) const;

    // A small call of ours, which waits for nobody's turn: a server that has much to do is not
    // down. What its answer, of any status, is worth is for the caller to say to the visit. Nothing
    // is sent, and nothing said of the server, where the deadline is over.
    struct Asked {
        Visit visit;
        http::Reply reply;
    };
    Awaitable<Result<Asked>> ask(http::Call call, Deadline deadline);
    // Its models.
    Awaitable<Result<std::vector<RemoteModel>>> list_models(Deadline deadline);

    // Whether the scores by which `model` ranks are its own numbers: `seen` now, or ever before.
    bool gives_logits(const std::string& model, bool seen) EXCLUDES(logits_mutex_);

  private:
    std::optional<Error> pause() const;
    Error left_alone() const;
    std::unexpected<Error> held_back(Error error) const;
    void settle_up() EXCLUDES(up_mutex_);
    void pause_until(Clock::time_point when);

    runtime::Shards& shards_;
    const UpstreamOptions options_;
    const std::unique_ptr<Wire> wire_;
    const UpstreamMetrics metrics_;
    const std::shared_ptr<const http::TlsContext> tls_;
    Breaker breaker_;
    Limiter limiter_;
    Mutex logits_mutex_;
    std::set<std::string> logits_of_ GUARDED_BY(logits_mutex_);  // at most kLogitsMax
    std::atomic<Clock::rep> paused_until_{0};
    Mutex up_mutex_;
    bool retired_ GUARDED_BY(up_mutex_) = false;
    std::vector<std::unique_ptr<http::Client>> clients_;  // by shard; each touched there only
};

}  // namespace hearth::remote
