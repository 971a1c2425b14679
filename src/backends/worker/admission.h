#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <unordered_map>

#include "backends/worker/poison.h"
#include "backends/worker/wake.h"
#include "base/error.h"
#include "base/thread_safety.h"
#include "runtime/awaitable.h"
#include "runtime/deadline.h"

namespace hearth::worker {

enum class WorkerState : std::uint8_t {
    Unloaded,  // no process; the next call starts one
    Starting,
    Ready,
    Waiting,  // for its next start after a failure
    Refused,  // the worker refused its folder: the message says why
    Stopping,
};
std::string_view to_string(WorkerState state);

struct AdmissionOptions {
    std::string model;
    std::size_t calls_max = 0;  // inside at once; 0: any number
    std::size_t waiting_max = 10'000;
    std::size_t suspects_max = 4'096;
    std::chrono::milliseconds suspect_time{600'000};
    std::chrono::milliseconds refused_time{10'000};
    std::optional<std::chrono::milliseconds> idle_unload;
};

// The door of one worker process: which calls may enter, which are inside, and whom to blame when
// it dies. Thread-safe. Calls enter from any shard; the supervisor's loop says what becomes of the
// process.
class Admission {
  public:
    using Clock = std::chrono::steady_clock;

    // `poke` is called from any thread when the supervisor should look at wants_process() or due().
    Admission(AdmissionOptions options, std::function<void()> poke);

    // The right to make one call to the worker: the call counts as inside until the lease ends.
    class Lease {
      public:
        Lease() = default;
        ~Lease() { release(); }
        Lease(Lease&& other) noexcept;
        Lease& operator=(Lease&& other) noexcept;

        std::uint64_t generation() const { return generation_; }
        const std::string& address() const { return address_; }  // "unix:PATH"
        // The worker has answered: the call is out of it, and no suspect. A lease that ends
        // without: the call may still run there.
        void answered();
        // The connection broke before an answer: nobody enters until the process is known to live.
        void broken();

      private:
        friend class Admission;
        void release();

        Admission* owner_ = nullptr;
        std::uint64_t id_ = 0;
        std::uint64_t generation_ = 0;
        std::string address_;
    };

    Awaitable<Result<Lease>> lease(Fingerprint request,
                                   std::optional<std::chrono::milliseconds> keep_alive,
                                   Deadline deadline);
    Result<void> check_poison(const Fingerprint& request) const EXCLUDES(mutex_);
    Awaitable<bool> ended(std::uint64_t generation, Deadline deadline);
    void want();  // a process, now
    // Ends the process once nothing is inside; with `drain` nobody may enter until then.
    void retire(bool drain = false);
    // Since when nobody is inside and nobody waits; absent: in use, or no process.
    std::optional<Clock::time_point> idle_since() const EXCLUDES(mutex_);
    // Since when calls may enter the process; absent: none is ready.
    std::optional<Clock::time_point> ready_since() const EXCLUDES(mutex_);
    void close();  // refuse every call from now on

    // For the supervisor's loop.
    bool wants_process() const EXCLUDES(mutex_);
    void enter(WorkerState state, std::string message = {}) EXCLUDES(mutex_);
    // Several starts in a row failed: calls are refused with `message` instead of waiting.
    void give_up_waiting(std::string message) EXCLUDES(mutex_);
    // For refused_time, or as long as its retry_after says where that is shorter: calls get
    // `error`.
    void refuse(Error error) EXCLUDES(mutex_);
    // Whether a process would serve nobody: no call waits, and want() has not asked for it.
    bool unwanted() const EXCLUDES(mutex_);
    // There will be no process after all, unless somebody wants one by now.
    void withdraw() EXCLUDES(mutex_);
    void serve(std::uint64_t generation, std::string address) EXCLUDES(mutex_);
    // The heartbeat: since when the oldest task runs; absent when idle.
    void heard(std::optional<Clock::time_point> running_since) EXCLUDES(mutex_);
    // A connection broke: the process should be asked for its heartbeat now.
    bool doubted() const EXCLUDES(mutex_);
    // The process has ended. Whoever was inside is blamed; when it was killed for a task stuck
    // since some moment, only who entered before.
    void bury_dead(std::uint64_t generation, std::optional<Clock::time_point> stuck_since)
        EXCLUDES(mutex_);
    void bury_retired(std::uint64_t generation) EXCLUDES(mutex_);
    // When the process should be unloaded for being idle, as far as known now.
    std::optional<Clock::time_point> due() const EXCLUDES(mutex_);
    // Closes the door for unloading, unless somebody is inside or waits; those who wait while it is
    // drained get a new process afterwards.
    bool begin_retirement() EXCLUDES(mutex_);

    struct Snapshot {
        WorkerState state = WorkerState::Unloaded;
        std::chrono::system_clock::time_point since{};
        std::optional<Clock::time_point> due;
        std::size_t calls = 0;
        std::string message;
    };
    Snapshot snapshot() const EXCLUDES(mutex_);

  private:
    struct Inside {
        Fingerprint request;
        Clock::time_point entered;
        std::optional<Clock::time_point> abandoned;
        bool alone = false;
    };
    class Waiting;

    Result<std::optional<Lease>> try_enter(const Fingerprint& request,
                                           std::optional<std::chrono::milliseconds> keep_alive,
                                           Waiting& waiting) EXCLUDES(mutex_);
    Result<void> check_deaths(std::size_t deaths) const;
    Result<bool> may_enter(bool suspect, bool waited) REQUIRES(mutex_);
    bool full(bool waited) const REQUIRES(mutex_);
    void begin_wait(Waiting& waiting, bool suspect) REQUIRES(mutex_);
    void end_wait(Waiting& waiting) REQUIRES(mutex_);
    enum class Parting { Answered, Abandoned, Broken };
    void leave(std::uint64_t id, Parting parting) EXCLUDES(mutex_);
    void bury(std::uint64_t generation) REQUIRES(mutex_);
    void set_state(WorkerState state, std::string message) REQUIRES(mutex_);
    std::optional<Clock::time_point> due_locked() const REQUIRES(mutex_);
    Error not_ready() const EXCLUDES(mutex_);

    const AdmissionOptions options_;
    const std::function<void()> poke_;
    Wake wake_;

    mutable Mutex mutex_;
    WorkerState state_ GUARDED_BY(mutex_) = WorkerState::Unloaded;
    std::chrono::system_clock::time_point since_ GUARDED_BY(mutex_);
    std::string message_ GUARDED_BY(mutex_);
    Error refusal_ GUARDED_BY(mutex_);
    bool wanted_ GUARDED_BY(mutex_) = false;
    bool asked_for_ GUARDED_BY(mutex_) = false;  // by want(), until it is unloaded
    bool retiring_ GUARDED_BY(mutex_) = false;
    bool draining_ GUARDED_BY(mutex_) = false;
    bool closed_ GUARDED_BY(mutex_) = false;
    bool failing_ GUARDED_BY(mutex_) = false;
    Clock::time_point refused_until_ GUARDED_BY(mutex_){};
    Clock::time_point ready_since_ GUARDED_BY(mutex_){};
    std::uint64_t generation_ GUARDED_BY(mutex_) = 0;
    std::uint64_t generation_ended_ GUARDED_BY(mutex_) = 0;
    std::string address_ GUARDED_BY(mutex_);

    std::unordered_map<std::uint64_t, Inside> inside_ GUARDED_BY(mutex_);
    std::uint64_t last_id_ GUARDED_BY(mutex_) = 0;
    std::size_t active_ GUARDED_BY(mutex_) = 0;  // inside and not abandoned
    bool one_alone_ GUARDED_BY(mutex_) = false;
    bool doubted_ GUARDED_BY(mutex_) = false;
    std::size_t waiting_ GUARDED_BY(mutex_) = 0;
    std::size_t suspects_waiting_ GUARDED_BY(mutex_) = 0;
    PoisonTable poison_ GUARDED_BY(mutex_);

    std::optional<std::chrono::milliseconds> keep_alive_ GUARDED_BY(mutex_);
    Clock::time_point used_ GUARDED_BY(mutex_){};
};

}  // namespace hearth::worker
