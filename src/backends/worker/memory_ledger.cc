#include "backends/worker/memory_ledger.h"

#include <algorithm>
#include <utility>

#include "base/format.h"
#include "telemetry/log.h"

namespace hearth::worker {
namespace {

// Between two looks at models that may have become idle.
constexpr auto kLook = std::chrono::milliseconds(25);

std::string mib(std::uint64_t bytes) { return format("{} MiB", (bytes + (1 << 20) - 1) >> 20); }

std::string describe(const DeviceBytes& bytes) {
    std::string out;
    for (const auto& [device, count] : bytes) {
        out += format("{}{} on {}", out.empty() ? "" : ", ", mib(count), device);
    }
    return out;
}

double seconds(std::chrono::steady_clock::duration time) {
    return std::chrono::duration<double>(time).count();
}

}  // namespace

MemoryLedger::MemoryLedger(DeviceBytes budget, std::chrono::milliseconds patience,
                           metrics::Registry* registry)
    : budget_(std::move(budget)), patience_(patience), metrics_(registry) {
    metrics_.budget(budget_);
}

MemoryLedger::Grant::Grant(Grant&& other) noexcept
    : owner_(std::exchange(other.owner_, nullptr)), id_(other.id_) {}

MemoryLedger::Grant& MemoryLedger::Grant::operator=(Grant&& other) noexcept {
    if (this == &other) return *this;
    release();
    owner_ = std::exchange(other.owner_, nullptr);
    id_ = other.id_;
    return *this;
}

void MemoryLedger::Grant::release(std::string_view why) {
    if (owner_ != nullptr) std::exchange(owner_, nullptr)->release(id_, why);
}

// A place in the queue, however its coroutine ends.
class MemoryLedger::Waiting {
  public:
    Waiting(MemoryLedger& ledger, const Request& request) : ledger_(ledger) {
        const MutexLock lock(ledger_.mutex_);
        place_ = ledger_.waiters_.insert(ledger_.waiters_.end(),
                                         {.request = &request, .since = Clock::now()});
    }
    ~Waiting() {
        {
            const MutexLock lock(ledger_.mutex_);
            ledger_.waiters_.erase(place_);
        }
        ledger_.wake_.notify_all();
    }
    Waiting(const Waiting&) = delete;
    Waiting& operator=(const Waiting&) = delete;

    const Waiter& waiter() const { return *place_; }

  private:
    MemoryLedger& ledger_;
    std::list<Waiter>::iterator place_;
};

Awaitable<Result<MemoryLedger::Grant>> MemoryLedger::reserve(Request request, Deadline deadline,
                                                             std::function<bool()> given_up) {
    CO_TRY_VOID(check_possible(request));
    const Waiting waiting(*this, request);
    for (;;) {
        const std::uint64_t seen = wake_.version();
        if (auto grant = try_grant(waiting.waiter())) co_return *std::move(grant);
        if (given_up && given_up()) co_return fail(Code::Cancelled, "given up");
        make_room(waiting.waiter());
        if (deadline.passed()) co_return fail(no_room(request));
        co_await wake_.wait(seen, deadline.earlier(Deadline::after(kLook)));
    }
}

Result<void> MemoryLedger::check_possible(const Request& request) const {
    for (const auto& [device, count] : request.need) {
        if (count <= at(budget_, device)) continue;
        return fail(
            {.code = Code::TooLarge,
             .message = format("{} needs {} on {} and models may have {} there: choose a "
                               "smaller one or a smaller context, or raise memory.budget_mib",
                               request.model, mib(count), device, mib(at(budget_, device))),
             .reason = "model_too_large"});
    }
    return {};
}

std::optional<MemoryLedger::Grant> MemoryLedger::try_grant(const Waiter& waiter) {
    const MutexLock lock(mutex_);
    if (!fits(waiter)) return std::nullopt;
    const std::uint64_t id = ++last_id_;
    for (const auto& [device, count] : waiter.request->need) used_[device] += count;
    const Request& request = *waiter.request;
    note(request.model, format("loads with {}: {}", describe(request.need), request.why));
    metrics_.loads(request.model, request.need);
    held_[id].request = *waiter.request;
    return Grant(*this, id);
}

// Now, and also then when those before it have got what they wait for.
bool MemoryLedger::fits(const Waiter& waiter) const {
    DeviceBytes then = used_;
    for (const auto& [device, count] : leaving()) then[device] -= count;
    for (const Waiter& other : waiters_) {
        if (&other == &waiter) break;
        for (const auto& [device, count] : other.request->need) then[device] += count;
    }
    for (const auto& [device, count] : waiter.request->need) {
        const std::uint64_t taken = std::max(at(used_, device), at(then, device));
        if (taken + count > at(budget_, device)) return false;
    }
    return true;
}

DeviceBytes MemoryLedger::leaving() const {
    DeviceBytes bytes;
    for (const auto& [id, held] : held_) {
        if (!held.asked) continue;
        for (const auto& [device, count] : held.request.need) bytes[device] += count;
    }
    return bytes;
}

bool MemoryLedger::is_first_for_its_devices(const Waiter& waiter) const {
    for (const Waiter& other : waiters_) {
        if (&other == &waiter) return true;
        for (const auto& [device, count] : waiter.request->need) {
            if (other.request->need.contains(device)) return false;
        }
    }
    return true;
}

void MemoryLedger::make_room(const Waiter& waiter) {
    const MutexLock lock(mutex_);
    if (!is_first_for_its_devices(waiter)) return;
    drain_the_slow();
    if (evict(waiter, false)) return;
    if (Clock::now() - waiter.since >= patience_) evict(waiter, true);
}

// One that was idle when it was asked to leave may have been in use ever since.
void MemoryLedger::drain_the_slow() {
    const Clock::time_point now = Clock::now();
    for (auto& [id, held] : held_) {
        if (!held.asked || held.draining || now - *held.asked < patience_) continue;
        held.draining = true;
        note(held.request.model,
             format("lets nobody in: it was to leave {:.1f} s ago", seconds(now - *held.asked)));
        held.request.holder->give_back(true);
    }
}

// What is still missing when all that leave have left.
DeviceBytes MemoryLedger::missing_for(const Request& request) const {
    DeviceBytes missing;
    const DeviceBytes soon = leaving();
    for (const auto& [device, count] : request.need) {
        const std::uint64_t stays = at(used_, device) - at(soon, device);
        const std::uint64_t free = at(budget_, device) - stays;
        if (count > free) missing[device] = count - free;
    }
    return missing;
}

// True when enough will be free once those have left that leave now.
bool MemoryLedger::evict(const Waiter& waiter, bool also_busy) {
    const Clock::time_point now = Clock::now();
    const DeviceBytes missing = missing_for(*waiter.request);
    if (missing.empty()) return true;
    std::vector<Held*> held_by;
    std::vector<Candidate> candidates;
    for (auto& [id, held] : held_) {
        if (!may_leave(held, also_busy, now)) continue;
        const auto idle = held.request.holder->idle_since();
        held_by.push_back(&held);
        candidates.push_back(
            {.bytes = &held.request.need,
             .reload_time = held.request.reload_time,
             .idle = idle ? std::optional(std::max(now - *idle, {})) : std::nullopt});
    }
    const std::vector<std::size_t> victims = choose_victims(candidates, missing);
    for (const std::size_t victim : victims) leave(*held_by[victim], waiter, now);
    return !victims.empty();
}

bool MemoryLedger::may_leave(const Held& held, bool also_busy, Clock::time_point now) const {
    if (held.asked || held.request.holder == nullptr) return false;
    if (held.request.holder->idle_since()) return true;
    const auto ready = held.request.holder->ready_since();
    return also_busy && ready && now - *ready >= patience_;
}

void MemoryLedger::leave(Held& held, const Waiter& waiter, Clock::time_point now) {
    const auto idle = held.request.holder->idle_since();
    held.asked = now;
    held.draining = !idle;
    ++evictions_;
    metrics_.evicted(held.request.model, idle.has_value());
    std::string why = format("leaves for {}: ", waiter.request->model);
    if (idle) {
        why += format("idle for {:.1f} s", seconds(now - *idle));
    } else {
        why += format("in use, but {} has waited for {:.1f} s", waiter.request->model,
                      seconds(now - waiter.since));
    }
    note(held.request.model, std::move(why));
    held.request.holder->give_back(held.draining);
}

void MemoryLedger::note(const std::string& model, std::string what) {
    log::info("memory model={} what=\"{}\"", model, what);
    events_.push_back(
        {.when = std::chrono::system_clock::now(), .model = model, .what = std::move(what)});
    if (events_.size() > kEventsMax) events_.pop_front();
}

void MemoryLedger::release(std::uint64_t id, std::string_view why) {
    {
        const MutexLock lock(mutex_);
        const auto held = held_.find(id);
        note(held->second.request.model, format("is gone: {}", why));
        metrics_.gone(held->second.request.model, held->second.request.need);
        for (const auto& [device, count] : held->second.request.need) used_[device] -= count;
        held_.erase(held);
    }
    wake_.notify_all();
}

Error MemoryLedger::no_room(const Request& request) const {
    std::string users;
    {
        const MutexLock lock(mutex_);
        for (const auto& [id, held] : held_) {
            users += format("{}{}", users.empty() ? "" : ", ", held.request.model);
        }
    }
    return {.code = Code::Unavailable,
            .message = format("{} needs {}; the memory is in use by {}", request.model,
                              describe(request.need), users.empty() ? "others" : users),
            .reason = "no_memory",
            .retry_after = std::chrono::seconds(1)};
}

std::vector<MemoryLedger::Entry> MemoryLedger::entries() const {
    const MutexLock lock(mutex_);
    std::vector<Entry> entries;
    for (const auto& [id, held] : held_) {
        entries.push_back({.model = held.request.model,
                           .bytes = held.request.need,
                           .why = held.request.why,
                           .leaving = held.asked.has_value()});
    }
    return entries;
}

std::vector<MemoryLedger::Event> MemoryLedger::events() const {
    const MutexLock lock(mutex_);
    return {events_.begin(), events_.end()};
}

std::uint64_t MemoryLedger::evictions() const {
    const MutexLock lock(mutex_);
    return evictions_;
}

}  // namespace hearth::worker
