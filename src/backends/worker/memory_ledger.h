#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "backends/worker/eviction.h"
#include "backends/worker/memory_metrics.h"
#include "backends/worker/wake.h"
#include "base/error.h"
#include "base/thread_safety.h"
#include "runtime/awaitable.h"
#include "runtime/deadline.h"

namespace hearth::worker {

// Who holds memory and can be asked for it. Called under the ledger's lock: must not call back.
class MemoryHolder {
  public:
    virtual ~MemoryHolder() = default;
    // Since when nobody is inside and nobody waits; absent: in use.
    virtual std::optional<std::chrono::steady_clock::time_point> idle_since() const = 0;
    // Since when it answers calls; absent: it loads, or ends.
    virtual std::optional<std::chrono::steady_clock::time_point> ready_since() const = 0;
    // Leave memory once nobody is inside. `drain`: and until then let nobody in.
    virtual void give_back(bool drain) = 0;
};

// Who may have how much memory, in bytes. A model asks before its process starts and gives back
// when the process has ended, so that what runs together fits the budget of every device. When it
// does not, idle models leave, the least valuable first: what is quick to load again, large, and
// long unused. A model in use stays; only a load that has waited for `patience` makes one finish
// what is inside it and leave, and none that has not been ready as long: two models too large for
// each other would otherwise end each other's loads. Loads are served in the order they came; one
// that fits beside all that those before it wait for goes ahead. Thread-safe.
class MemoryLedger {
  public:
    using Clock = std::chrono::steady_clock;

    // The registry, if any, must outlive it.
    explicit MemoryLedger(DeviceBytes budget,
                          std::chrono::milliseconds patience = std::chrono::seconds(5),
                          metrics::Registry* registry = nullptr);

    // The right to the memory, until it ends. The ledger must outlive it.
    class Grant {
      public:
        Grant() = default;
        ~Grant() { release(); }
        Grant(Grant&& other) noexcept;
        Grant& operator=(Grant&& other) noexcept;
        // Ends it; `why` is for events(): "exited with code 1".
        void release(std::string_view why = "not needed any more");

      private:
        friend class MemoryLedger;
        Grant(MemoryLedger& owner, std::uint64_t id) : owner_(&owner), id_(id) {}
        MemoryLedger* owner_ = nullptr;
        std::uint64_t id_ = 0;
    };

    struct Request {
        std::string model;
        DeviceBytes need;
        std::chrono::milliseconds reload_time{0};  // how long it took last, or about
        MemoryHolder* holder = nullptr;            // must outlive the grant
        std::string why = "asked for";             // for events()
    };

    // The TooLarge of reserve(), without waiting.
    Result<void> check_possible(const Request& request) const;
    // Waits for room. `given_up` is asked before anybody has to leave for this one, and then now
    // and again. Errors: TooLarge (never fits; the message has both counts), Unavailable (no room
    // before the deadline), Cancelled (given up).
    Awaitable<Result<Grant>> reserve(Request request, Deadline deadline,
                                     std::function<bool()> given_up);

    struct Entry {
        std::string model;
        DeviceBytes bytes;
        std::string why;  // it was loaded
        bool leaving = false;
    };
    // Why memory changed hands; the newest kEventsMax.
    struct Event {
        std::chrono::system_clock::time_point when;
        std::string model;
        // "loads with 120 MiB on host: asked for", "leaves for NAME: idle for 73.0 s",
        // "is gone: killed by signal 9"
        std::string what;
    };
    static constexpr std::size_t kEventsMax = 512;

    const DeviceBytes& budget() const { return budget_; }
    std::vector<Entry> entries() const EXCLUDES(mutex_);
    std::vector<Event> events() const EXCLUDES(mutex_);
    std::uint64_t evictions() const EXCLUDES(mutex_);

  private:
    struct Held {
        Request request;
        std::optional<Clock::time_point> asked;  // to leave
        bool draining = false;                   // and told to let nobody in
    };
    struct Waiter {
        const Request* request = nullptr;
        Clock::time_point since;
    };
    class Waiting;

    std::optional<Grant> try_grant(const Waiter& waiter) EXCLUDES(mutex_);
    bool fits(const Waiter& waiter) const REQUIRES(mutex_);
    bool is_first_for_its_devices(const Waiter& waiter) const REQUIRES(mutex_);
    void make_room(const Waiter& waiter) EXCLUDES(mutex_);
    void drain_the_slow() REQUIRES(mutex_);
    bool evict(const Waiter& waiter, bool also_busy) REQUIRES(mutex_);
    bool may_leave(const Held& held, bool also_busy, Clock::time_point now) const REQUIRES(mutex_);
    DeviceBytes missing_for(const Request& request) const REQUIRES(mutex_);
    DeviceBytes leaving() const REQUIRES(mutex_);
    void leave(Held& held, const Waiter& waiter, Clock::time_point now) REQUIRES(mutex_);
    void note(const std::string& model, std::string what) REQUIRES(mutex_);
    void release(std::uint64_t id, std::string_view why) EXCLUDES(mutex_);
    Error no_room(const Request& request) const EXCLUDES(mutex_);

    const DeviceBytes budget_;
    const std::chrono::milliseconds patience_;
    const MemoryMetrics metrics_;
    Wake wake_;

    mutable Mutex mutex_;
    std::map<std::uint64_t, Held> held_ GUARDED_BY(mutex_);
    DeviceBytes used_ GUARDED_BY(mutex_);
    std::list<Waiter> waiters_ GUARDED_BY(mutex_);
    std::uint64_t last_id_ GUARDED_BY(mutex_) = 0;
    std::uint64_t evictions_ GUARDED_BY(mutex_) = 0;
    std::deque<Event> events_ GUARDED_BY(mutex_);
};

}  // namespace hearth::worker
