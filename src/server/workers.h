#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "api/view.h"
#include "backends/replicas/load.h"
#include "backends/worker/memory_ledger.h"
#include "base/error.h"
#include "base/thread_safety.h"
#include "models/catalogue.h"
#include "pipeline/serve.h"
#include "runtime/shard.h"
#include "server/config.h"
#include "server/kept_targets.h"
#include "server/published.h"
#include "telemetry/metrics.h"

namespace hearth::worker {
class LlamaMemory;
class WorkerSupervisor;
}  // namespace hearth::worker

namespace hearth::server {

// The error of a model name nobody serves.
Error unknown_model(std::string_view name);

// The models on disk and the worker in front of each. Thread-safe. rescan() publishes a new
// snapshot; requests keep the one they began with. Workers are kept over scans and start on first
// use.
class Workers {
  public:
    struct Entry {
        std::shared_ptr<worker::WorkerSupervisor> supervisor;  // outlives the target's backend
        std::shared_ptr<const pipeline::Target> target;
        std::shared_ptr<const worker::LlamaMemory> memory;  // of a GGUF model
        std::shared_ptr<replicas::Load> load;
    };
    struct Snapshot {
        models::Catalogue catalogue;
        std::map<std::string, Entry> entries;  // by canonical model name
    };

    Workers(const Config& config, runtime::Shards& shards, metrics::Registry& registry);
    ~Workers();  // stop() must have returned
    Workers(const Workers&) = delete;
    Workers& operator=(const Workers&) = delete;

    std::shared_ptr<const Snapshot> snapshot() const { return snapshot_.value(); }
    // Goes up with each snapshot.
    std::uint64_t version() const { return snapshot_.version(); }
    // What of it is in memory now. The snapshot must outlive the answer.
    std::vector<api::RunningModel> running(const Snapshot& snapshot) const;
    // Errors: NotFound (reason "model_not_found").
    Result<std::shared_ptr<const pipeline::Target>> route(std::string_view name) const;

    const worker::MemoryLedger& ledger() const { return ledger_; }
    // Of the shard this runs on.
    boost::asio::io_context& current_io() const { return shards_.io(shards_.current()); }

    // Reads the sources of models; blocks, so never on a shard.
    void rescan() EXCLUDES(scan_mutex_);
    // The same when something changed where the last scan looked.
    void rescan_if_changed() EXCLUDES(scan_mutex_);
    // Ends every worker. Blocks, while the shards still run.
    void stop() EXCLUDES(scan_mutex_);

  private:
    void scan() REQUIRES(scan_mutex_);
    void unload_all_but(const Snapshot& kept) REQUIRES(scan_mutex_);
    const Entry& entry_for(const models::Catalogue& catalogue, const models::Model& model)
        REQUIRES(scan_mutex_);

    const Config& config_;
    runtime::Shards& shards_;
    metrics::Registry& registry_;
    const std::vector<models::Source> sources_;
    worker::MemoryLedger ledger_;  // outlives the workers
    Mutex scan_mutex_;             // one scan at a time
    // Every worker there ever was, by digest and name.
    std::map<std::string, Entry> entries_ GUARDED_BY(scan_mutex_);
    Published<Snapshot> snapshot_;
};

}  // namespace hearth::server
