#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "backends/replicas/failover.h"
#include "base/thread_safety.h"
#include "pipeline/serve.h"
#include "telemetry/metrics.h"

namespace hearth::server {

using TargetPtr = std::shared_ptr<const pipeline::Target>;

// A target with the metrics of a model.
TargetPtr make_target(metrics::Registry& registry, const std::string& label,
                      std::shared_ptr<inference::Backend> backend);

// The targets that choose among replicas, and so have something to remember: whose turn it is, who
// is left out, who has seen the beginning of which prompt. Kept as long as those who serve the name
// stay the same; what is known of those that stay outlives the coming and going of others.
// Thread-safe; nothing is made while others wait. Bounded: kTargetsMax; beyond it targets are made
// that nobody shares.
class KeptTargets {
  public:
    static constexpr std::size_t kTargetsMax = 4096;

    // The registry must outlive it.
    explicit KeptTargets(metrics::Registry& registry) : registry_(registry) {}

    // `key`: equal for all ways to write the name. `label`: of its metrics.
    TargetPtr find_or_make(const std::string& key, std::vector<replicas::Tier> tiers,
                           const replicas::FailoverOptions& options, std::string label)
        EXCLUDES(mutex_);
    // Forgets those whose key leaves no choice any more.
    void keep_only(const std::function<bool(const std::string& key)>& has_choice) EXCLUDES(mutex_);
    std::size_t size() const EXCLUDES(mutex_);

  private:
    struct Kept {
        std::shared_ptr<replicas::Failover> failover;
        std::string label;
        TargetPtr target;
    };
    Kept find(const std::string& key) const EXCLUDES(mutex_);

    metrics::Registry& registry_;
    mutable Mutex mutex_;
    std::unordered_map<std::string, Kept> kept_ GUARDED_BY(mutex_);
};

}  // namespace hearth::server
