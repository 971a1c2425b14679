#include "server/worker_options.h"

#include <algorithm>
#include <charconv>
#include <memory>

#include "backends/worker/llama_flags.h"
#include "backends/worker/llama_memory.h"
#include "base/format.h"
#include "runtime/cgroup.h"
#include "runtime/shard.h"
#include "server/programs.h"

namespace hearth::server {
namespace {

using worker::DeviceBytes;
using worker::kMib;
using worker::WorkerOptions;

// A process's own: code, heap, threads.
constexpr std::uint64_t kProcessBytes = 96 * kMib;

bool can(const models::Model& model, std::string_view capability) {
    return std::ranges::find(model.capabilities, capability) != model.capabilities.end();
}

// llama.cpp runs the rerankers of this family through a softmax of "yes" and "no".
// Source: llama.cpp src/llama-graph.cpp, build_pooling().
bool scores_are_odds(const models::Model& model) {
    return model.family != "qwen3" && model.family != "qwen3vl";
}

worker::LlamaModel llama_model(const models::Model& model) {
    return {.name = model.name,
            .projector = model.gguf->projector,
            .adapters = model.gguf->adapters,
            .context_trained = model.context_length,
            .has_sequence_state = model.gguf->has_sequence_state,
            .embeds = can(model, "embedding"),
            .reranks = can(model, "rerank")};
}

std::optional<std::size_t> prompt_cache_mib(const LlamaSection& llama) {
    return llama.prompt_cache ? std::optional(llama.prompt_cache_mib) : std::nullopt;
}

worker::LlamaSettings llama_settings(const LlamaSection& llama) {
    return {.parallel = llama.parallel,
            .context = llama.context,
            .batch = llama.batch,
            .micro_batch = llama.micro_batch,
            .threads = llama.threads > 0 ? llama.threads : runtime::cpu_quota(),
            .kv_type = llama.kv_type,
            .prompt_cache_mib = prompt_cache_mib(llama),
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

std::vector<std::string> llama_environment(const LlamaSection& llama) {
    // Its trace of an abort would take a debugger and seconds.
    std::vector<std::string> environment = {"GGML_NO_BACKTRACE=1"};
    if (!llama.visible_devices.empty()) {
        environment.push_back("CUDA_VISIBLE_DEVICES=" + llama.visible_devices);
    }
    return environment;
}

// Beside what llama.cpp counts: the projector for images with its work space, and the process.
std::uint64_t more_bytes(const models::Model& model) {
    const std::uint64_t projector = file_bytes(model.gguf->projector);
    return kProcessBytes + projector + projector / 4;
}

std::shared_ptr<worker::LlamaMemory> llama_memory(const LlamaSection& llama,
                                                  const models::Model& model,
                                                  const worker::MemoryLedger& ledger) {
    const worker::LlamaModel described = llama_model(model);
    const worker::LlamaSettings settings = llama_settings(llama);
    return std::make_shared<worker::LlamaMemory>(worker::LlamaMemoryOptions{
        .model = model.name,
        .fit = {.program = llama.program().parent_path() / "llama-fit-params",
                .model = model.gguf->file,
                .flags = worker::llama_memory_flags(described, settings),
                .environment = llama_environment(llama)},
        .weights = model.size_bytes,
        .more_bytes = more_bytes(model),
        .prompt_cache_mib = described.only_reads() ? std::nullopt : settings.prompt_cache_mib,
        .ledger = &ledger,
        .context = worker::context_of(described, settings),
        .context_max = worker::context_max_of(described, settings)});
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

WorkerOptions llama_options(const LlamaSection& llama, const models::Model& model,
                            std::shared_ptr<worker::LlamaMemory> memory) {
    WorkerOptions options{
        .kind = &worker::kLlamaServer,
        .program = llama.program(),
        .model = model.name,
        .files = model.gguf->file,
        .arguments = worker::llama_flags(llama_model(model), llama_settings(llama)),
        .late_arguments = [memory] { return memory->planned_flags(); },
        .environment = llama_environment(llama),
        .start_time = llama.start_time,
        // Its heartbeat is answered between two decodes.
        .heartbeat_time = llama.hang_time,
        .hang_time = llama.hang_time,
        .estimate_memory = [memory](boost::asio::io_context& io) { return memory->plan(io); },
        // As many wait inside as are worked on, so that no slot idles.
        .calls_max = llama.parallel * 2};
    if (llama.keep_alive.count() > 0) options.idle_unload = llama.keep_alive;
    return options;
}

void add_file(std::string& to, const std::filesystem::path& file) {
    std::error_code missing;
    const auto changed = std::filesystem::last_write_time(file, missing);
    to += format("{} {} {}\n", file.string(), file_bytes(file),
                 missing ? 0 : changed.time_since_epoch().count());
}

// The model's digest, the program and the flags it gets: another build or precision may choose
// another token.
std::string identity_of(const models::Model& model, const WorkerOptions& options) {
    std::string identity = model.digest + '\n';
    add_file(identity, options.program);
    for (const std::string& argument : options.arguments) identity += argument + '\n';
    for (const std::string& variable : options.environment) identity += variable + '\n';
    return identity;
}

}  // namespace

ModelWorker model_worker(const Config& config, const models::Catalogue& catalogue,
                         const models::Model& model, worker::MemoryLedger& ledger) {
    ModelWorker worker;
    if (model.gguf) {
        const auto llama = config.llama.of_model(
            [&](std::string_view name) { return catalogue.find(name) == &model; });
        CHECK(llama);  // parse_config has read every entry
        worker.backend = {
            .embeds = can(model, "embedding"),
            .reranks = can(model, "rerank"),
            .scores_are_odds = scores_are_odds(model),
            .tokens_max = worker::context_of(llama_model(model), llama_settings(*llama)),
            .memory = llama_memory(*llama, model, ledger)};
        worker.options = llama_options(*llama, model, worker.backend.memory);
    } else {
        worker.options = encoder_options(config, model);
    }
    worker.options.identity = identity_of(model, worker.options);
    worker.options.ledger = &ledger;
    worker.options.memory_time = config.memory.wait_time;
    return worker;
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
