#include "server/kept_targets.h"

#include <utility>

namespace hearth::server {

using replicas::Failover;
using replicas::FailoverOptions;
using replicas::Tier;

TargetPtr make_target(metrics::Registry& registry, const std::string& label,
                      std::shared_ptr<inference::Backend> backend) {
    std::string identity = backend->identity();
    return std::make_shared<const pipeline::Target>(
        std::move(backend), pipeline::ModelMetrics(registry, label),
        pipeline::RerankMetrics(registry, label), pipeline::GenerateMetrics(registry, label),
        std::move(identity));
}

KeptTargets::Kept KeptTargets::find(const std::string& key) const {
    const MutexLock lock(mutex_);
    const auto found = kept_.find(key);
    return found != kept_.end() ? found->second : Kept();
}

TargetPtr KeptTargets::find_or_make(const std::string& key, std::vector<Tier> tiers,
                                    const FailoverOptions& options, std::string label) {
    const auto serves = [&](const Kept& kept, const std::vector<Tier>& wanted) {
        return kept.failover != nullptr && kept.label == label &&
               kept.failover->is_made_of(wanted, options);
    };
    const Kept earlier = find(key);
    if (serves(earlier, tiers)) return earlier.target;
    const std::vector<Tier> wanted = tiers;
    Kept made{.failover = std::make_shared<Failover>(std::move(tiers), options,
                                                     replicas::FailoverMetrics(registry_, label),
                                                     earlier.failover.get()),
              .label = label,
              .target = {}};
    made.target = make_target(registry_, label, made.failover);
    const MutexLock lock(mutex_);
    if (!kept_.contains(key) && kept_.size() >= kTargetsMax) return made.target;
    Kept& kept = kept_[key];
    // Another call for the same name may have been quicker: they are to share one.
    if (!serves(kept, wanted)) std::swap(kept, made);
    return kept.target;
}

void KeptTargets::keep_only(const std::function<bool(const std::string& key)>& has_choice) {
    std::vector<std::string> keys;
    {
        const MutexLock lock(mutex_);
        for (const auto& [key, kept] : kept_) keys.push_back(key);
    }
    std::erase_if(keys, has_choice);
    std::vector<Kept> gone;  // ends after the lock does
    const MutexLock lock(mutex_);
    for (const std::string& key : keys) {
        const auto found = kept_.find(key);
        if (found == kept_.end()) continue;
        gone.push_back(std::move(found->second));
        kept_.erase(found);
    }
}

std::size_t KeptTargets::size() const {
    const MutexLock lock(mutex_);
    return kept_.size();
}

}  // namespace hearth::server
