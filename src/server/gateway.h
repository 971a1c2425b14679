#pragma once

#include <atomic>
#include <functional>
#include <memory>

#include "cache/answers.h"
#include "models/catalogue.h"
#include "pipeline/serve.h"
#include "server/config.h"
#include "server/directory.h"
#include "server/model_store.h"
#include "server/workers.h"
#include "telemetry/metrics.h"

namespace hearth::server {

// What every route may use. Made once by the composition root; thread-safe; outlives the HTTP
// server.
struct Gateway {
    const Config& config;
    metrics::Registry& registry;
    Workers& workers;
    const Directory& directory;
    const pipeline::Serve& serve;
    cache::Answers& answers;
    ModelStore& store;
    // The moment the server began to answer, for `created` and start times.
    std::int64_t started_unix = 0;
    std::atomic<bool> draining = false;
};

}  // namespace hearth::server
