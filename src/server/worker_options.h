#pragma once

#include "backends/worker/llama_backend.h"
#include "backends/worker/memory_ledger.h"
#include "backends/worker/supervisor.h"
#include "models/catalogue.h"
#include "models/model.h"
#include "server/config.h"

// What the configuration and a model's files say about the process that serves it.
namespace hearth::server {

struct ModelWorker {
    worker::WorkerOptions options;
    worker::LlamaBackendOptions backend;  // of a GGUF model
};

// `model` is one of the catalogue's, which tells what other names it has. The ledger must outlive
// what is started with the options.
ModelWorker model_worker(const Config& config, const models::Catalogue& catalogue,
                         const models::Model& model, worker::MemoryLedger& ledger);

// Bytes that models may take, by device. A device that the configuration does not name has none,
// and nothing is counted on it. Entries that are no NAME=MIB are left out.
worker::DeviceBytes memory_budget(const MemorySection& section);

}  // namespace hearth::server
