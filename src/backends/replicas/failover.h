#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "backends/replicas/balancer.h"
#include "backends/replicas/load.h"
#include "inference/backend.h"
#include "telemetry/metrics.h"

namespace hearth::replicas {

// A backend that serves the model, and the server on which it does.
struct Replica {
    std::shared_ptr<inference::Backend> backend;
    std::shared_ptr<Load> load;  // of the server, shared by all its models
    double weight = 1;
};

// Which failures send a call on to the next model of a chain.
enum class Cause : std::uint8_t {
    Failure,  // nobody could be reached, all were overloaded, limited or broken
    Context,  // the prompt is over the context of the models before
};

// Everybody who serves one model. The first of a chain is the model asked for.
struct Tier {
    std::vector<Replica> replicas;
    Cause cause = Cause::Failure;  // for which it stands in; of the first it says nothing
};

struct FailoverOptions {
    std::size_t attempts_max = 3;               // of each tier
    std::chrono::milliseconds backoff{50};      // before the same server is asked again, doubled
                                                // each time, and half of it random
    std::chrono::milliseconds patience{5'000};  // for a server that says when to come again
    bool continues = false;  // an answer that breaks off is gone on with by another server
    // A server that has said nothing for so long: the call is made to another as well, and whoever
    // says something first answers. Once per call, as one of its attempts. 0: never.
    std::chrono::milliseconds hedge_after{0};
    BalancerOptions balancer;

    bool operator==(const FailoverOptions&) const = default;
};

struct FailoverMetrics {
    FailoverMetrics(metrics::Registry& registry, const std::string& model);
    metrics::Counter retries;    // the same server again
    metrics::Counter failovers;  // another server
    metrics::Counter fallbacks;  // another model
    metrics::Counter continuations;
    metrics::Counter hedges;      // calls made to a second server at the same time
    metrics::Counter hedges_won;  // that one answered
};

// Whether any of the tiers leaves a choice: to know more of its replicas is then worth something.
bool has_choice(std::span<const Tier> tiers);

// True where another server may do better with a call that failed like this.
bool may_succeed_elsewhere(const Error& error);

// One model, served by several backends and, where they fail, by other models. A call goes to one
// of them at a time, or to two where the first is slow and calls are hedged; as long as the caller
// has seen nothing of the answer, a failure that is not the caller's own sends it on, and
// afterwards too where answers are continued. Thread-safe.
class Failover final : public inference::Backend {
  public:
    // REQUIRES a tier, each with 1 to 64 replicas. `earlier`, which may be null, is not needed
    // afterwards: what it knows of replicas that are also here, this one knows from the beginning.
    Failover(std::vector<Tier> tiers, FailoverOptions options, FailoverMetrics metrics,
             const Failover* earlier = nullptr);
    ~Failover() override;

    // Whether it is what would be made of these.
    bool is_made_of(std::span<const Tier> tiers, const FailoverOptions& options) const;

    inference::BackendInfo info() const override;
    std::string identity() const override;
    bool relays(inference::Dialect dialect) const override;
    Awaitable<Result<inference::EmbedReply>> embed(inference::EmbedRequest request,
                                                   Deadline deadline) override;
    Awaitable<Result<inference::RerankReply>> rerank(inference::RerankRequest request,
                                                     Deadline deadline) override;
    Awaitable<Result<inference::GenerateReply>> generate(const inference::GenerateRequest& request,
                                                         inference::Sink& sink,
                                                         Deadline deadline) override;
    Awaitable<Result<boost::json::object>> inquire(inference::InquiryRequest request,
                                                   Deadline deadline) override;
    Awaitable<Result<std::chrono::nanoseconds>> load(inference::LoadRequest request,
                                                     Deadline deadline) override;
    inference::Health probe() const override;

  private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace hearth::replicas
