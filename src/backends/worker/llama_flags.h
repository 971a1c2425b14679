#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace hearth::worker {

// What a GGUF file says that decides how it is run.
struct LlamaModel {
    std::string name;
    std::filesystem::path projector;  // empty: none
    std::vector<std::filesystem::path> adapters;
    std::size_t context_trained = 0;  // tokens; 0: unknown
    bool has_sequence_state = false;  // its memory grows with the number of sequences
    bool embeds = false;
    bool reranks = false;

    // Makes one thing of each text, a vector or a score, and writes none.
    bool only_reads() const { return embeds || reranks; }
};

// What the machine and its owner say.
struct LlamaSettings {
    std::size_t parallel = 32;  // answers generated at once; their tokens share one context
    std::size_t context = 0;    // tokens; 0: what the model was trained for, at most kContextMax
    std::size_t batch = 2048;   // tokens of one decode
    std::size_t micro_batch = 512;
    std::size_t threads = 1;
    std::string kv_type = "f16";
    // Host memory for the states of past prompts, which else stay among those of the answers that
    // are generated and slow them down. 0: as much as the context takes (LlamaMemory says how much
    // that is); absent: none.
    std::optional<std::size_t> prompt_cache_mib = {};
    std::string gpu_layers;         // empty: llama-server decides
    std::string devices;            // empty: all
    std::vector<std::string> rpc;   // HOST:PORT of llama.cpp RPC servers
    std::vector<std::string> more;  // flags of llama-server, last
};

inline constexpr std::size_t kContextMax = 32'768;

// Tokens of context the process will have.
std::size_t context_of(const LlamaModel& model, const LlamaSettings& settings);

// The most it may be made to have: an embedding model or a reranker reads one text at a time and
// gets no more.
std::size_t context_max_of(const LlamaModel& model, const LlamaSettings& settings);

// llama-server's flags, without --model and --host. Source: tools/server/README.md, v0.5.0.
std::vector<std::string> llama_flags(const LlamaModel& model, const LlamaSettings& settings);

// Those of them that decide how much memory it takes, as llama-fit-params knows them.
std::vector<std::string> llama_memory_flags(const LlamaModel& model, const LlamaSettings& settings);

}  // namespace hearth::worker
