#pragma once

#include <memory>
#include <string>

#include "base/error.h"
#include "runtime/shard.h"
#include "server/config.h"
#include "server/directory.h"
#include "server/upstreams.h"
#include "telemetry/metrics.h"

namespace hearth::server {

// What a configuration says of servers elsewhere, in force; and another one in its place. Main's
// thread only.
class Elsewhere {
  public:
    // All must outlive it.
    Elsewhere(Directory& directory, runtime::Shards& shards, metrics::Registry& registry);
    ~Elsewhere();  // stop() must have returned
    Elsewhere(const Elsewhere&) = delete;
    Elsewhere& operator=(const Elsewhere&) = delete;

    // All of it, or on an error nothing. `wait_max`: for the servers to say what they serve.
    // Errors: those of plan_upstreams.
    Result<void> apply(const Config& config, std::chrono::milliseconds wait_max);
    // Blocks, while the shards still run.
    void stop();

  private:
    Directory& directory_;
    runtime::Shards& shards_;
    metrics::Registry& registry_;
    std::shared_ptr<Upstreams> upstreams_;
};

}  // namespace hearth::server
