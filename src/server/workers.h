#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "api/view.h"
#include "base/error.h"
#include "base/thread_safety.h"
#include "models/catalogue.h"
#include "pipeline/serve.h"
#include "runtime/shard.h"
#include "server/config.h"
#include "telemetry/metrics.h"

namespace hearth::worker {
class WorkerSupervisor;
}

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
    };
    struct Snapshot {
        models::Catalogue catalogue;
        std::map<std::string, Entry> entries;  // by canonical model name

        // What is in memory now.
        std::vector<api::RunningModel> running() const;
    };

    Workers(const Config& config, runtime::Shards& shards, metrics::Registry& registry);
    ~Workers();  // stop() must have returned
    Workers(const Workers&) = delete;
    Workers& operator=(const Workers&) = delete;

    std::shared_ptr<const Snapshot> snapshot() const;
    // Errors: NotFound (reason "model_not_found").
    Result<std::shared_ptr<const pipeline::Target>> route(std::string_view name) const;

    // Reads the models directories; blocks, so never on a shard.
    void rescan();
    // The same when a models directory changed since the last scan.
    void rescan_if_changed();
    // Ends every worker. Blocks, while the shards still run.
    void stop();

  private:
    void unload_all_but(const Snapshot& kept);
    const Entry& entry_for(const models::Model& model);
    std::vector<std::filesystem::file_time_type> folder_times() const;

    const Config& config_;
    runtime::Shards& shards_;
    metrics::Registry& registry_;
    const std::vector<std::filesystem::path> folders_;
    std::vector<std::filesystem::file_time_type> scanned_times_;  // main's thread only
    // Every worker there ever was, by digest and name: main's thread only.
    std::map<std::string, Entry> entries_;
    mutable Mutex mutex_;
    std::shared_ptr<const Snapshot> snapshot_ GUARDED_BY(mutex_);
};

}  // namespace hearth::server
