#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "base/error.h"
#include "encoder/engine.h"

namespace hearth::encoder {

struct BatcherOptions {
    std::size_t batch_tokens_max = 4096;      // tokens per batch (one longer text still goes alone)
    std::size_t queue_texts_max = 65'536;     // over it: Overloaded at once
    std::size_t queue_tokens_max = 16 << 20;
};

// One tokenized text on its way through. `done` is called exactly once, on a compute thread, and must be
// quick: it receives the pooled row ([hidden] floats, valid during the call) or an error.
struct Job {
    std::vector<std::int32_t> ids;
    std::chrono::steady_clock::time_point deadline;
    std::function<bool()> cancelled;  // optional; true: skipped at dequeue, done gets Cancelled
    std::move_only_function<void(Result<std::span<const float>>)> done;
};

struct BatcherStats {
    std::uint64_t texts = 0, tokens = 0, batches = 0;
    std::uint64_t queue_ns = 0, compute_ns = 0;
    std::size_t queued_texts = 0, queued_tokens = 0;
    // When the task now running longest began; epoch when idle (heartbeat of the running task).
    std::chrono::steady_clock::time_point running_since{};
};

// Forms batches by token budget and runs them on the engine's sessions, one thread each. The oldest job
// always leads the next batch; the rest of its window is chosen by similar length; nothing waits while a
// session is idle, and queued work is divided over the idle sessions. Thread-safe.
// Errors given to done: DeadlineExceeded, Cancelled, Overloaded, and the engine's.
class Batcher {
  public:
    Batcher(Engine& engine, BatcherOptions options);
    ~Batcher();  // fails what is queued with Cancelled, waits for what runs
    Batcher(const Batcher&) = delete;
    Batcher& operator=(const Batcher&) = delete;

    // All jobs of one call are admitted or refused together.
    Result<void> submit(std::vector<Job> jobs);
    BatcherStats stats() const;

  private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace hearth::encoder
