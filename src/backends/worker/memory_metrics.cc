#include "backends/worker/memory_metrics.h"

#include "telemetry/metrics.h"

namespace hearth::worker {

void MemoryMetrics::budget(const DeviceBytes& budget) const {
    if (registry_ == nullptr) return;
    for (const auto& [device, bytes] : budget) {
        registry_->gauge("hearth_memory_budget_bytes", "What models may take", {{"device", device}})
            .set(static_cast<double>(bytes));
    }
}

void MemoryMetrics::loads(const std::string& model, const DeviceBytes& bytes) const {
    if (registry_ == nullptr) return;
    add(model, bytes, 1);
    registry_
        ->counter("hearth_memory_loads_total", "Models that were given memory", {{"model", model}})
        .add();
}

void MemoryMetrics::evicted(const std::string& model, bool idle) const {
    if (registry_ == nullptr) return;
    registry_
        ->counter("hearth_memory_evictions_total", "Models that had to leave for another",
                  {{"model", model}, {"reason", idle ? "idle" : "patience"}})
        .add();
}

void MemoryMetrics::gone(const std::string& model, const DeviceBytes& bytes) const {
    if (registry_ != nullptr) add(model, bytes, -1);
}

void MemoryMetrics::add(const std::string& model, const DeviceBytes& bytes, double sign) const {
    for (const auto& [device, count] : bytes) {
        registry_
            ->gauge("hearth_memory_model_bytes", "What a model was given",
                    {{"device", device}, {"model", model}})
            .add(sign * static_cast<double>(count));
    }
}

}  // namespace hearth::worker
