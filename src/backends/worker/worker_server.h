#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <string>

#include "base/error.h"
#include "encoder/batcher.h"
#include "encoder/engine.h"
#include "tokens/tokenizer.h"

namespace hearth::worker {

struct WorkerServerOptions {
    std::string socket;  // a path; what is there is replaced
    encoder::BatcherOptions batch;
    std::size_t text_threads = 0;            // 0: half the cores, 1 to 4
    std::size_t calls_max = 1'024;           // inside at once; over it: Overloaded
    std::size_t call_bytes_max = 256 << 20;  // inside at once, in total
};

// The worker's end of the protocol: an HTTP server on a Unix socket in front of one engine.
// Thread-safe. The engine and the tokenizer must outlive it.
class WorkerServer {
  public:
    // Serves when it returns. Errors: InvalidArgument, Unavailable (the socket cannot be bound).
    static Result<std::unique_ptr<WorkerServer>> start(encoder::Engine& engine,
                                                       const tokens::Tokenizer& tokenizer,
                                                       WorkerServerOptions options);
    ~WorkerServer();
    WorkerServer(const WorkerServer&) = delete;
    WorkerServer& operator=(const WorkerServer&) = delete;

    // Lets calls inside finish until `grace`, then ends. Blocks. Once.
    void stop(std::chrono::milliseconds grace);

  private:
    struct Impl;
    explicit WorkerServer(std::unique_ptr<Impl> impl);
    std::unique_ptr<Impl> impl_;
};

}  // namespace hearth::worker
