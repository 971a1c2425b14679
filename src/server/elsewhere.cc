#include "server/elsewhere.h"

#include <utility>

namespace hearth::server {

Elsewhere::Elsewhere(Directory& directory, runtime::Shards& shards, metrics::Registry& registry)
    : directory_(directory), shards_(shards), registry_(registry) {}

Elsewhere::~Elsewhere() { CHECK(upstreams_ == nullptr); }

// The new servers are asked before the old ones go, so that no call finds neither.
Result<void> Elsewhere::apply(const Config& config, std::chrono::milliseconds wait_max) {
    TRY(std::vector<UpstreamPlan> plans, plan_upstreams(config));
    if (upstreams_ != nullptr) upstreams_->retire();
    auto next = std::make_shared<Upstreams>(shards_, registry_, std::move(plans));
    next->start(wait_max);
    directory_.apply(std::make_shared<const Config>(config), next);
    if (const auto old = std::exchange(upstreams_, std::move(next))) old->stop();
    return {};
}

void Elsewhere::stop() {
    if (const auto old = std::exchange(upstreams_, nullptr)) old->stop();
}

}  // namespace hearth::server
