#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "backends/worker/admission.h"
#include "backends/worker/eviction.h"
#include "backends/worker/worker_kind.h"
#include "backends/worker/worker_metrics.h"
#include "base/error.h"
#include "inference/backend.h"
#include "runtime/awaitable.h"
#include "runtime/deadline.h"

namespace boost::asio {
class io_context;
}

namespace hearth::runtime {
class Shards;
}

namespace hearth::worker {

class MemoryLedger;

// How much memory a model will take, by device. Called before every start, on the supervisor's
// shard.
using EstimateMemory = std::function<Awaitable<Result<DeviceBytes>>(boost::asio::io_context&)>;

struct WorkerOptions {
    const WorkerKind* kind = &kHearthWorker;
    std::filesystem::path program;
    std::string model;                   // its name, for errors and the log
    std::string identity;                // of its answers: inference/backend.h
    std::filesystem::path files;         // a folder for hearth-worker, a GGUF file for llama-server
    std::vector<std::string> arguments;  // more of the program's own: "--precision", "int8"
    std::function<std::vector<std::string>()> late_arguments;  // asked before every start; or null
    std::vector<std::string> environment;                      // "NAME=value", beside ours
    std::filesystem::path runtime_dir;  // empty: $XDG_RUNTIME_DIR, else the temporary directory
    bool eager = false;                 // start with the supervisor, not with the first request
    std::chrono::milliseconds start_time{60'000};  // program start to ready
    std::chrono::milliseconds heartbeat_interval{1'000};
    std::chrono::milliseconds heartbeat_time{10'000};  // silence longer than this: killed
    std::chrono::milliseconds hang_time{120'000};      // a task running longer: killed
    std::chrono::milliseconds backoff_first{100};
    std::chrono::milliseconds backoff_max{30'000};
    std::chrono::milliseconds stable_time{60'000};   // ready this long: failures forgotten
    std::chrono::milliseconds refused_time{10'000};  // a refused folder is tried again after it
    std::chrono::milliseconds stop_time{5'000};      // SIGTERM to SIGKILL
    std::optional<std::chrono::milliseconds> idle_unload;  // without a keep_alive of the request's
    MemoryLedger* ledger = nullptr;  // must outlive the supervisor; null: memory is not counted
    EstimateMemory estimate_memory;  // with a ledger
    std::chrono::milliseconds memory_time{120'000};  // waiting for room
    std::size_t calls_max = 0;         // calls inside at once, others wait; 0: any number
    std::size_t waiting_max = 10'000;  // calls waiting for the worker
    std::size_t suspects_max = 4'096;
    std::chrono::milliseconds suspect_time{600'000};
};

inference::Health health_of(WorkerState state);

struct WorkerStatus {
    WorkerState state = WorkerState::Unloaded;
    int pid = 0;                                                      // 0: none
    std::chrono::system_clock::time_point since{};                    // of the state
    std::uint64_t resident_bytes = 0;                                 // of the process; 0: unknown
    std::optional<std::chrono::system_clock::time_point> expires_at;  // absent: never
    std::uint64_t restarts = 0;
    std::size_t calls = 0;  // in the worker now
    std::string message;    // the last failure, or empty
};

// A call that lost its worker is made once more.
inline constexpr int kAttemptsMax = 2;

// Keeps one worker process alive for one model: starts it when first wanted, waits until it
// answers, watches its exit and its heartbeat, kills it when it hangs, restarts it with backoff,
// unloads it when idle, and remembers which requests were inside when it died. It lives on one
// shard; the public functions are thread-safe. No process survives it, however we end
// (runtime/child_process.h).
class WorkerSupervisor {
  public:
    WorkerSupervisor(runtime::Shards& shards, std::size_t shard, WorkerOptions options,
                     WorkerMetrics metrics);
    ~WorkerSupervisor();  // stop() must have returned, or start() never been called
    WorkerSupervisor(const WorkerSupervisor&) = delete;
    WorkerSupervisor& operator=(const WorkerSupervisor&) = delete;

    // The shards must run. Once.
    void start();
    // Ends the worker (SIGTERM, then SIGKILL) and everything here. Blocks; from a thread that is no
    // shard. Calls that wait are refused with Unavailable. Idempotent.
    void stop();
    // Starts the worker if there is none; does not wait.
    void load();
    // Ends the worker once no call is inside; the next call starts a new one.
    void unload();
    // The same, and nobody enters before: the next call meets a new process.
    void renew();

    WorkerStatus status() const;  // reads /proc
    WorkerState state() const;
    const WorkerOptions& options() const;

    using Lease = Admission::Lease;

    // Waits until the worker is ready and the call may enter. A request that was inside one death
    // enters alone, so that a second death tells the guilty from who stood beside it. Errors:
    // InvalidArgument (reason "poison_request": inside two deaths), Unavailable (refused, failing,
    // still loading, stopping), Overloaded (waiting_max), DeadlineExceeded.
    Awaitable<Result<Lease>> lease(Fingerprint request,
                                   std::optional<std::chrono::milliseconds> keep_alive,
                                   Deadline deadline);
    // Waits until the worker is ready, or (keep_alive 0) unloads it. Returns how long it took.
    Awaitable<Result<std::chrono::nanoseconds>> bring(
        std::optional<std::chrono::milliseconds> keep_alive, Deadline deadline);
    // After a call lost its connection to that generation of the process: gives the process's end a
    // moment to be noticed, then says whether the request was inside two deaths (the same
    // InvalidArgument).
    Awaitable<Result<void>> check_lost(Fingerprint request, std::uint64_t generation,
                                       Deadline deadline);

  private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace hearth::worker
