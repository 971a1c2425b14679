#include "server/workers.h"

#include <algorithm>

#include "backends/worker/llama_backend.h"
#include "backends/worker/supervisor.h"
#include "backends/worker/worker_backend.h"
#include "base/format.h"
#include "server/worker_options.h"
#include "telemetry/log.h"

namespace hearth::server {
namespace {

using worker::WorkerState;

std::int64_t expiry_of(const worker::WorkerStatus& status) {
    if (!status.expires_at) return api::kNever;
    return std::chrono::duration_cast<std::chrono::nanoseconds>(
               status.expires_at->time_since_epoch())
        .count();
}

}  // namespace

Error unknown_model(std::string_view name) {
    return {.code = Code::NotFound,
            .message = format("model '{}' not found; hearth models lists what is there", name),
            .reason = "model_not_found",
            .param = "model"};
}

Workers::Workers(const Config& config, runtime::Shards& shards, metrics::Registry& registry)
    : config_(config),
      shards_(shards),
      registry_(registry),
      sources_(config.model_sources()),
      ledger_(memory_budget(config.memory), config.memory.patience, &registry),
      snapshot_(std::make_shared<Snapshot>()) {}

Workers::~Workers() = default;

std::vector<api::RunningModel> Workers::running(const Snapshot& snapshot) const {
    const auto given = ledger_.entries();
    std::vector<api::RunningModel> running;
    for (const auto& model : snapshot.catalogue.models()) {
        const auto entry = snapshot.entries.find(model.name);
        if (entry == snapshot.entries.end()) continue;
        const auto status = entry->second.supervisor->status();
        if (status.state != WorkerState::Ready) continue;
        const auto& memory = entry->second.memory;
        running.push_back({.model = &model,
                           .memory_bytes = status.resident_bytes,
                           .expires_unix_ns = expiry_of(status),
                           .context = memory ? memory->planned_context() : 0});
        const auto grant =
            std::ranges::find(given, model.name, &worker::MemoryLedger::Entry::model);
        if (grant == given.end()) continue;
        running.back().load_reason = grant->why;
        running.back().device_bytes =
            worker::sum_of(grant->bytes) - worker::at(grant->bytes, "host");
        running.back().memory_bytes += running.back().device_bytes;
    }
    return running;
}

Result<std::shared_ptr<const pipeline::Target>> Workers::route(std::string_view name) const {
    const auto current = snapshot();
    const auto* model = current->catalogue.find(name);
    if (model == nullptr) return fail(unknown_model(name));
    return current->entries.at(model->name).target;
}

const Workers::Entry& Workers::entry_for(const models::Catalogue& catalogue,
                                         const models::Model& model) {
    auto& entry = entries_[model.digest + " " + model.name];
    if (entry.supervisor != nullptr) return entry;
    const worker::WorkerMetrics counters(registry_, model.name);
    ModelWorker worker = model_worker(config_, catalogue, model, ledger_);
    entry.supervisor =
        std::make_shared<worker::WorkerSupervisor>(shards_, 0, std::move(worker.options), counters);
    entry.supervisor->start();
    std::shared_ptr<inference::Backend> backend;
    if (model.gguf) {
        entry.memory = worker.backend.memory;
        backend = std::make_shared<worker::LlamaBackend>(shards_, *entry.supervisor, counters,
                                                         std::move(worker.backend));
    } else {
        backend = std::make_shared<worker::WorkerBackend>(shards_, *entry.supervisor, counters);
    }
    entry.load = std::make_shared<replicas::Load>();
    entry.target = make_target(registry_, model.name, std::move(backend));
    return entry;
}

void Workers::rescan() {
    const MutexLock lock(scan_mutex_);
    scan();
}

void Workers::rescan_if_changed() {
    const MutexLock lock(scan_mutex_);
    if (snapshot()->catalogue.is_stale()) scan();
}

void Workers::scan() {
    auto next = std::make_shared<Snapshot>();
    next->catalogue = models::Catalogue::scan(sources_);
    for (const auto& model : next->catalogue.models()) {
        next->entries.emplace(model.name, entry_for(next->catalogue, model));
    }
    unload_all_but(*next);
    for (const auto& broken : next->catalogue.broken()) {
        log::warn("model refused path={} reason=\"{}\"", broken.path.string(), broken.reason);
    }
    for (const std::string& name : config_.llama.named_models()) {
        if (!name.empty() && next->catalogue.find(name) == nullptr) {
            log::warn("llama.models has keys for a model that is not there model={}", name);
        }
    }
    log::info("models found count={} refused={}", next->catalogue.models().size(),
              next->catalogue.broken().size());
    snapshot_.publish(std::move(next));
}

// A model that was removed or replaced on disk leaves memory; requests inside it still end.
void Workers::unload_all_but(const Snapshot& kept) {
    for (auto& [key, entry] : entries_) {
        const auto& supervisor = entry.supervisor;
        const bool used = std::ranges::any_of(
            kept.entries, [&](const auto& item) { return item.second.supervisor == supervisor; });
        if (!used) supervisor->unload();
    }
}

void Workers::stop() {
    const MutexLock lock(scan_mutex_);
    for (auto& [key, entry] : entries_) entry.supervisor->stop();
}

}  // namespace hearth::server
