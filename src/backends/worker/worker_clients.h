#pragma once

#include <memory>
#include <vector>

#include "backends/worker/admission.h"
#include "http/client.h"
#include "runtime/shard.h"

namespace hearth::worker {

// The connections to one model's process: a pool per shard, made anew for each process. Calls in
// flight keep the pool they began with. Each pool is used on its own shard only.
class WorkerClients {
  public:
    WorkerClients(runtime::Shards& shards, http::ClientOptions options)
        : shards_(shards), options_(options), pools_(shards.size()) {}

    std::shared_ptr<http::Client> client_for(const Admission::Lease& lease) {
        Pool& pool = pools_[shards_.current()];
        if (pool.generation != lease.generation()) {
            pool.client = std::make_shared<http::Client>(lease.address(), options_);
            pool.generation = lease.generation();
        }
        return pool.client;
    }

  private:
    struct Pool {
        std::uint64_t generation = 0;
        std::shared_ptr<http::Client> client;
    };

    runtime::Shards& shards_;
    const http::ClientOptions options_;
    std::vector<Pool> pools_;
};

}  // namespace hearth::worker
