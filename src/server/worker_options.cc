#include "server/worker_options.h"

#include <algorithm>
#include <charconv>
#include <memory>
#include <optional>

#include "backends/worker/llama_fit.h"
#include "backends/worker/llama_flags.h"
#include "base/format.h"
#include "runtime/cgroup.h"
#include "runtime/shard.h"
#include "server/programs.h"

namespace hearth::server {
namespace {

using worker::DeviceBytes;
using worker::WorkerOptions;

constexpr std::uint64_t kMib = 1 << 20;
// A process's own: code, heap, threads.
constexpr std::uint64_t kProcessBytes = 96 * kMib;
constexpr std::chrono::seconds kFitTime{30};

bool embeds(const models::Model& model) {
    return std::ranges::find(model.capabilities, "embedding") != model.capabilities.end();
}

worker::LlamaModel llama_model(const models::Model& model) {
    return {.name = model.name,
            .projector = model.gguf->projector,
            .adapters = model.gguf->adapters,
            .context_trained = model.context_length,
            .embeds = embeds(model)};
}

worker::LlamaSettings llama_settings(const LlamaSection& llama) {
    return {.parallel = llama.parallel,
            .context = llama.context,
            .batch = llama.batch,
            .micro_batch = llama.micro_batch,
            .threads = llama.threads > 0 ? llama.threads : runtime::cpu_quota(),
            .kv_type = llama.kv_type,
            .prompt_cache_mib = llama.prompt_cache_mib,
            .gpu_layers = llama.gpu_layers,
            .devices = llama.devices,
            .rpc = llama.rpc,
            .more = llama.arguments};
}

std::uint64_t file_bytes(const std::filesystem::path& file) {
    std::error_code missing;
    const auto bytes = file.empty() ? 0 : std::filesystem::file_size(file, missing);
    return missing ? 0 : bytes;
}

// Where llama.cpp cannot be asked: its weights, and as much again up to a bound.
DeviceBytes guess(std::uint64_t weights) {
    return {{"host", weights + std::clamp(weights, 256 * kMib, 4096 * kMib)}};
}

// What llama.cpp counts, and what it does not: the projector for images with its work space, the
// prompt cache, the process. Devices without a budget are not counted.
DeviceBytes complete(DeviceBytes bytes, std::uint64_t more, const DeviceBytes& budget) {
    bytes["host"] += more;
    std::erase_if(bytes, [&](const auto& one) { return !budget.contains(one.first); });
    return bytes;
}

// Asks llama.cpp once: the answer depends on these files and flags only.
class LlamaEstimate {
  public:
    LlamaEstimate(const Config& config, const models::Model& model,
                  const worker::MemoryLedger& ledger)
        : fit_{.program = config.llama.program().parent_path() / "llama-fit-params",
               .model = model.gguf->file,
               .flags =
                   worker::llama_memory_flags(llama_model(model), llama_settings(config.llama))},
          weights_(model.size_bytes),
          ledger_(ledger) {
        const std::uint64_t projector = file_bytes(model.gguf->projector);
        more_ = kProcessBytes + projector + projector / 4 + config.llama.prompt_cache_mib * kMib;
    }

    Awaitable<Result<DeviceBytes>> run(boost::asio::io_context& io) {
        if (known_) co_return *known_;
        auto bytes = co_await worker::run_llama_fit(io, fit_, Deadline::after(kFitTime));
        if (!bytes && bytes.error().code == Code::InvalidArgument) co_return bytes;
        known_ = complete(bytes ? *std::move(bytes) : guess(weights_), more_, ledger_.budget());
        co_return *known_;
    }

  private:
    const worker::LlamaFit fit_;
    const std::uint64_t weights_;
    const worker::MemoryLedger& ledger_;
    std::uint64_t more_ = 0;
    std::optional<DeviceBytes> known_;
};

worker::EstimateMemory estimate_llama(const Config& config, const models::Model& model,
                                      const worker::MemoryLedger& ledger) {
    auto estimate = std::make_shared<LlamaEstimate>(config, model, ledger);
    return [estimate](boost::asio::io_context& io) { return estimate->run(io); };
}

Awaitable<Result<DeviceBytes>> known_bytes(DeviceBytes bytes) { co_return bytes; }

// Weights are mapped and packed beside it; a batch of the largest size needs little.
worker::EstimateMemory estimate_encoder(const models::Model& model) {
    const DeviceBytes bytes = {{"host", kProcessBytes + 2 * model.size_bytes}};
    return [bytes](boost::asio::io_context&) { return known_bytes(bytes); };
}

WorkerOptions encoder_options(const Config& config, const models::Model& model) {
    const auto& encoder = config.encoder;
    WorkerOptions options{
        .program = program_beside("hearth-worker"),
        .model = model.name,
        .files = model.folder,
        .arguments = {"--precision", encoder.precision, "--threads", format("{}", encoder.threads),
                      "--sessions", format("{}", encoder.sessions), "--batch-tokens",
                      format("{}", encoder.batch_tokens_max), "--cpus",
                      format("{}", runtime::cpu_quota())},
        .eager = config.models.preload,
        .start_time = encoder.start_time,
        .hang_time = encoder.hang_time,
        .estimate_memory = estimate_encoder(model)};
    if (encoder.idle_unload.count() > 0) options.idle_unload = encoder.idle_unload;
    return options;
}

WorkerOptions llama_options(const Config& config, const models::Model& model,
                            const worker::MemoryLedger& ledger) {
    const auto& llama = config.llama;
    WorkerOptions options{
        .kind = &worker::kLlamaServer,
        .program = llama.program(),
        .model = model.name,
        .files = model.gguf->file,
        .arguments = worker::llama_flags(llama_model(model), llama_settings(llama)),
        // Its trace of an abort would take a debugger and seconds.
        .environment = {"GGML_NO_BACKTRACE=1"},
        .start_time = llama.start_time,
        // Its heartbeat is answered between two decodes.
        .heartbeat_time = llama.hang_time,
        .hang_time = llama.hang_time,
        .estimate_memory = estimate_llama(config, model, ledger),
        // As many wait inside as are worked on, so that no slot idles.
        .calls_max = llama.parallel * 2};
    if (llama.keep_alive.count() > 0) options.idle_unload = llama.keep_alive;
    return options;
}

}  // namespace

WorkerOptions worker_options(const Config& config, const models::Model& model,
                             worker::MemoryLedger& ledger) {
    WorkerOptions options =
        model.gguf ? llama_options(config, model, ledger) : encoder_options(config, model);
    options.ledger = &ledger;
    options.memory_time = config.memory.wait_time;
    return options;
}

worker::LlamaBackendOptions llama_backend_options(const Config& config,
                                                  const models::Model& model) {
    return {.embeds = embeds(model),
            .tokens_max = worker::context_of(llama_model(model), llama_settings(config.llama))};
}

DeviceBytes memory_budget(const MemorySection& section) {
    DeviceBytes budget;
    budget["host"] =
        section.budget_mib > 0 ? section.budget_mib * kMib : runtime::usable_memory() / 5 * 4;
    for (const std::string& device : section.devices) {
        const std::size_t equals = device.find('=');
        if (equals == std::string::npos || equals == 0) continue;
        std::uint64_t mib = 0;
        const char* end = device.data() + device.size();
        const auto read = std::from_chars(device.data() + equals + 1, end, mib);
        if (read.ec == std::errc{} && read.ptr == end)
            budget[device.substr(0, equals)] = mib * kMib;
    }
    return budget;
}

}  // namespace hearth::server
