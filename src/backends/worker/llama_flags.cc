#include "backends/worker/llama_flags.h"

#include <algorithm>

#include "base/format.h"

namespace hearth::worker {
namespace {

std::string joined(const std::vector<std::string>& items) {
    std::string out;
    for (const std::string& item : items) out += (out.empty() ? "" : ",") + item;
    return out;
}

void add(std::vector<std::string>& flags, const char* name, std::string value) {
    flags.emplace_back(name);
    flags.push_back(std::move(value));
}

// Texts that are read share no context: each has one of its own.
std::size_t sequences_of(const LlamaModel& model, const LlamaSettings& settings) {
    constexpr std::size_t kTextsMax = 16;
    return model.only_reads() ? std::min(settings.parallel, kTextsMax) : settings.parallel;
}

// One text is one batch there, and whole: a longer one than the batch would be refused.
void add_reading_flags(std::vector<std::string>& flags, std::size_t context,
                       std::size_t sequences) {
    add(flags, "--ctx-size", format("{}", context * sequences));
    add(flags, "--batch-size", format("{}", context));
    add(flags, "--ubatch-size", format("{}", context));
}

void add_generating_flags(std::vector<std::string>& flags, std::size_t context,
                          const LlamaSettings& settings) {
    add(flags, "--ctx-size", format("{}", context));
    add(flags, "--batch-size", format("{}", settings.batch));
    add(flags, "--ubatch-size", format("{}", settings.micro_batch));
    add(flags, "--cache-type-k", settings.kv_type);
    add(flags, "--cache-type-v", settings.kv_type);
}

// How `sequences` share memory, and how much of it there is.
std::vector<std::string> size_flags(const LlamaModel& model, const LlamaSettings& settings,
                                    std::size_t sequences) {
    std::vector<std::string> flags;
    add(flags, "--parallel", format("{}", sequences));
    if (model.only_reads()) {
        add_reading_flags(flags, context_of(model, settings), sequences);
    } else {
        add_generating_flags(flags, context_of(model, settings), settings);
    }
    if (!settings.gpu_layers.empty()) add(flags, "--gpu-layers", settings.gpu_layers);
    if (!settings.devices.empty()) add(flags, "--device", settings.devices);
    if (!settings.rpc.empty()) add(flags, "--rpc", joined(settings.rpc));
    return flags;
}

}  // namespace

std::size_t context_of(const LlamaModel& model, const LlamaSettings& settings) {
    const std::size_t trained = model.context_trained > 0 ? model.context_trained : kContextMax;
    return settings.context > 0 ? settings.context : std::min(trained, kContextMax);
}

std::size_t context_max_of(const LlamaModel& model, const LlamaSettings& settings) {
    const std::size_t first = context_of(model, settings);
    return model.only_reads() ? first : std::max(first, model.context_trained);
}

std::vector<std::string> llama_memory_flags(const LlamaModel& model,
                                            const LlamaSettings& settings) {
    // llama-fit-params knows no --kv-unified. One sequence takes as much as many that share, but
    // what each has of its own counts as often as there are sequences.
    const bool is_counted = model.only_reads() || model.has_sequence_state;
    return size_flags(model, settings, is_counted ? sequences_of(model, settings) : 1);
}

std::vector<std::string> llama_flags(const LlamaModel& model, const LlamaSettings& settings) {
    std::vector<std::string> flags = size_flags(model, settings, sequences_of(model, settings));
    for (const char* flag : {"--offline", "--metrics", "--no-ui", "--no-slots", "--no-log-prefix",
                             "--no-log-timestamps"}) {
        flags.emplace_back(flag);
    }
    add(flags, "--log-verbosity", "1");
    add(flags, "--log-colors", "off");
    add(flags, "--alias", model.name);
    add(flags, "--threads", format("{}", settings.threads));
    if (model.only_reads()) {
        flags.emplace_back(model.reranks ? "--rerank" : "--embedding");
    } else {
        // One context for all answers: a long one may use what short ones leave.
        flags.emplace_back("--kv-unified");
        if (settings.prompt_cache_mib != 0) {
            add(flags, "--cache-ram", format("{}", settings.prompt_cache_mib.value_or(0)));
        }
    }
    if (!model.projector.empty()) add(flags, "--mmproj", model.projector);
    for (const auto& adapter : model.adapters) add(flags, "--lora", adapter);
    flags.insert(flags.end(), settings.more.begin(), settings.more.end());
    return flags;
}

}  // namespace hearth::worker
