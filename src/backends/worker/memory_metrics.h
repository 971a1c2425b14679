#pragma once

#include <string>

#include "backends/worker/eviction.h"

namespace hearth::metrics {
class Registry;
}

namespace hearth::worker {

// What the memory that models take shows of itself. Thread-safe; the registry must outlive it.
// Without a registry nothing is shown.
class MemoryMetrics {
  public:
    explicit MemoryMetrics(metrics::Registry* registry) : registry_(registry) {}

    void budget(const DeviceBytes& budget) const;
    void loads(const std::string& model, const DeviceBytes& bytes) const;
    void evicted(const std::string& model, bool idle) const;
    void gone(const std::string& model, const DeviceBytes& bytes) const;

  private:
    void add(const std::string& model, const DeviceBytes& bytes, double sign) const;

    metrics::Registry* registry_;
};

}  // namespace hearth::worker
