#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "backends/remote/triton_models.h"
#include "backends/remote/upstream.h"
#include "backends/replicas/load.h"
#include "base/thread_safety.h"
#include "runtime/shard.h"
#include "server/upstream_options.h"
#include "telemetry/metrics.h"

namespace hearth::server {

// A model that a server elsewhere serves.
struct ServedElsewhere {
    std::string name;           // to our callers
    remote::RemoteModel facts;  // with the server's own name of it
    std::int64_t created_unix = 0;
};

// The servers elsewhere, and what each serves as far as it has said. Their lists are asked for
// again and again, which also tells of a server that was gone that it is back. Thread-safe.
class Upstreams {
  public:
    struct Member {
        std::shared_ptr<remote::Upstream> upstream;
        std::shared_ptr<replicas::Load> load;
        UpstreamPlan plan;
        std::shared_ptr<remote::TritonModels> triton;  // of that kind; else null
    };
    // Immutable; a new one is published when a list has changed.
    struct Lists {
        std::vector<std::vector<ServedElsewhere>> of_member;  // in the order of members()
    };

    Upstreams(runtime::Shards& shards, metrics::Registry& registry,
              std::vector<UpstreamPlan> plans);
    ~Upstreams();  // stop() must have returned
    Upstreams(const Upstreams&) = delete;
    Upstreams& operator=(const Upstreams&) = delete;

    // How a server answered when it was last asked for its list.
    struct Standing {
        bool heard = false;  // it was asked, and has answered or failed
        bool up = false;
        std::size_t models = 0;    // that it serves to our callers
        std::string reason = {};   // of one that is not up
        std::string problem = {};  // of one that is: what keeps some of it from being of use
        std::chrono::nanoseconds took{0};
    };

    const std::vector<Member>& members() const;
    std::vector<Standing> standings() const;  // in the order of members()
    std::shared_ptr<const Lists> lists() const;
    // Goes up with each change of them.
    std::uint64_t lists_version() const;

    // Begins to ask, and waits until each has answered once, failed, or `wait_max` has passed.
    void start(std::chrono::milliseconds wait_max);
    // Before others are made in their place with the same registry: whether they are up is told of
    // those from there on, and of one that has no follower no more.
    void retire();
    // Blocks, while the shards still run.
    void stop();

  private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace hearth::server
