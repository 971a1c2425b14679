#pragma once

#include <string>

#include "telemetry/metrics.h"

namespace hearth::worker {

// Handles of one model's worker metrics. The registry must outlive them.
struct WorkerMetrics {
    WorkerMetrics(metrics::Registry& registry, const std::string& model);
    metrics::Counter restarts;
    metrics::Counter poison;
    metrics::Counter retries;
    metrics::Counter requests;
    metrics::Counter texts;
    metrics::Counter tokens;
    metrics::Histogram seconds;
};

}  // namespace hearth::worker
