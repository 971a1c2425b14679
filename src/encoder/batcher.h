#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "base/error.h"
#include "encoder/engine.h"

namespace hearth::encoder {

struct BatcherOptions {
    std::size_t batch_tokens_max = 4096;   // tokens per batch (one longer text still goes alone)
    std::size_t queue_texts_max = 65'536;  // over it: Overloaded at once
    std::size_t queue_tokens_max = 16 << 20;
};

// The pooled vector of one text: [hidden] floats, not normalised, valid during the call of `done`.
struct Row {
    std::span<const float> values;
    std::chrono::steady_clock::time_point started;  // when its batch left the queue
};

// One tokenized text on its way through. `done` is called exactly once if the job was admitted, on
// a compute thread (or in the destructor), and must be quick. `cancelled` is called with the queue
// locked: it may only read a flag.
struct Job {
    std::vector<std::int32_t> ids;
    std::chrono::steady_clock::time_point deadline;
    std::function<bool()> cancelled;  // optional; true: skipped at dequeue, done gets Cancelled
    std::move_only_function<void(Result<Row>)> done;
};

struct BatcherStats {
    std::uint64_t texts = 0, tokens = 0, batches = 0;
    std::uint64_t queue_ns = 0, compute_ns = 0;
    std::size_t queued_texts = 0, queued_tokens = 0;
    // When the task now running longest began; epoch when idle (heartbeat of the running task).
    std::chrono::steady_clock::time_point running_since{};
};

// Forms batches by token budget and runs them on the engine's sessions, one thread each. The oldest
// job always leads the next batch; the rest of its window is chosen by similar length; nothing
// waits while a session is idle, and queued work is divided over the idle sessions. Thread-safe.
// Errors given to done: DeadlineExceeded, Cancelled, and the engine's. A batch the engine refuses
// is run again text by text, so that one bad text costs no other its answer.
class Batcher {
  public:
    Batcher(Engine& engine, BatcherOptions options);
    ~Batcher();  // fails what is queued with Cancelled, waits for what runs
    Batcher(const Batcher&) = delete;
    Batcher& operator=(const Batcher&) = delete;

    // All jobs of one call are admitted or refused together; refused, no `done` is called. Errors:
    // Overloaded (over queue_texts_max or queue_tokens_max), InvalidArgument (a text of 0 tokens or
    // over the window), Cancelled (being destroyed).
    Result<void> submit(std::vector<Job> jobs);
    BatcherStats stats() const;

  private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace hearth::encoder
