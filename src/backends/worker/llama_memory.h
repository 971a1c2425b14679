#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "backends/worker/llama_fit.h"
#include "backends/worker/memory_ledger.h"
#include "base/error.h"
#include "base/thread_safety.h"

namespace hearth::worker {

struct LlamaMemoryOptions {
    std::string model;         // its name, for errors
    LlamaFit fit;              // its flags name the first context
    std::uint64_t weights;     // bytes of the files, for a guess where llama.cpp cannot be asked
    std::uint64_t more_bytes;  // on the host, beside what llama.cpp counts
    // For the states of past prompts, on the host, in MiB. 0: as much as the context takes, none
    // where the model would not fit with it; absent: none. One is kept however large it is, so that
    // they may take as much as the context.
    std::optional<std::size_t> prompt_cache_mib = {};
    const MemoryLedger* ledger;  // whose devices are counted; must outlive this
    std::size_t context;         // tokens the first process has
    std::size_t context_max;     // tokens nobody gets more than
};

// What the process of one GGUF model takes, and its context, which grows with the largest one that
// a request asked for: the next process has it. Thread-safe.
class LlamaMemory {
  public:
    explicit LlamaMemory(LlamaMemoryOptions options);

    // Before a start: the bytes of the process with the context there is to be. Errors:
    // InvalidArgument (llama.cpp refuses the model).
    Awaitable<Result<DeviceBytes>> plan(boost::asio::io_context& io) EXCLUDES(mutex_);
    // Of the start that was planned: flags behind those that name the first context.
    std::vector<std::string> planned_flags() const EXCLUDES(mutex_);
    // Tokens of context of the process that was planned last.
    std::size_t planned_context() const EXCLUDES(mutex_);
    // A context for that many tokens from the next start on, when it is more than there is. Returns
    // what the caller may insist on: `tokens`, or context_max where that is less. Errors: TooLarge
    // (reason "model_too_large": over the budget for models).
    Awaitable<Result<std::size_t>> grow(boost::asio::io_context& io, std::size_t tokens)
        EXCLUDES(mutex_);
    // The process that was planned last has become ready: its context is one that can be had.
    void keep() EXCLUDES(mutex_);
    // No process came of what was planned: back to the largest context that could be had.
    void shrink() EXCLUDES(mutex_);

  private:
    struct Need {
        DeviceBytes bytes;
        std::size_t cache_mib = 0;
    };

    Awaitable<Result<Need>> need_with(boost::asio::io_context& io, std::size_t context)
        EXCLUDES(mutex_);
    Need need_of(LlamaFitBytes fit) const;
    Need with_cache(Need need, std::uint64_t context_bytes) const;

    const LlamaMemoryOptions options_;
    mutable Mutex mutex_;
    std::size_t context_ GUARDED_BY(mutex_);
    std::size_t planned_ GUARDED_BY(mutex_);
    std::size_t planned_cache_mib_ GUARDED_BY(mutex_) = 0;
    std::size_t proven_ GUARDED_BY(mutex_);
    // llama.cpp's answers depend on the files and flags only. At most kKnownMax of them.
    std::map<std::size_t, Need> known_ GUARDED_BY(mutex_);
};

}  // namespace hearth::worker
