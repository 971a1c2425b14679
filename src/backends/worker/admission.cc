#include "backends/worker/admission.h"

#include <algorithm>
#include <utility>

#include "base/format.h"

namespace hearth::worker {

std::string_view to_string(WorkerState state) {
    switch (state) {
        case WorkerState::Unloaded: return "unloaded";
        case WorkerState::Starting: return "starting";
        case WorkerState::Ready: return "ready";
        case WorkerState::Waiting: return "waiting";
        case WorkerState::Refused: return "refused";
        case WorkerState::Stopping: return "stopping";
    }
    return "unknown";
}

// A call that waits is counted, however its coroutine ends.
class Admission::Waiting {
  public:
    explicit Waiting(Admission& door) : door_(door) {}
    ~Waiting() {
        MutexLock lock(door_.mutex_);
        const bool gave_up = counted;
        door_.end_wait(*this);
        // Others stood back for the place it would have taken.
        if (gave_up && door_.waiting_ > 0) door_.wake_.notify_all();
    }
    Waiting(const Waiting&) = delete;
    Waiting& operator=(const Waiting&) = delete;

    bool counted = false;
    bool suspect = false;

  private:
    Admission& door_;
};

void Admission::begin_wait(Waiting& waiting, bool suspect) {
    if (waiting.counted && waiting.suspect == suspect) return;
    end_wait(waiting);
    waiting.counted = true;
    waiting.suspect = suspect;
    ++waiting_;
    if (suspect) ++suspects_waiting_;
}

void Admission::end_wait(Waiting& waiting) {
    if (!std::exchange(waiting.counted, false)) return;
    --waiting_;
    if (!std::exchange(waiting.suspect, false)) return;
    // Others stood back for this one.
    if (--suspects_waiting_ == 0 && waiting_ > 0) wake_.notify_all();
}

Admission::Lease::Lease(Lease&& other) noexcept
    : owner_(std::exchange(other.owner_, nullptr)),
      id_(other.id_),
      generation_(other.generation_),
      address_(std::move(other.address_)) {}

Admission::Lease& Admission::Lease::operator=(Lease&& other) noexcept {
    if (this == &other) return *this;
    release();
    owner_ = std::exchange(other.owner_, nullptr);
    id_ = other.id_;
    generation_ = other.generation_;
    address_ = std::move(other.address_);
    return *this;
}

void Admission::Lease::answered() {
    if (owner_ != nullptr) std::exchange(owner_, nullptr)->leave(id_, Parting::Answered);
}

void Admission::Lease::broken() {
    if (owner_ != nullptr) std::exchange(owner_, nullptr)->leave(id_, Parting::Broken);
}

void Admission::Lease::release() {
    if (owner_ != nullptr) std::exchange(owner_, nullptr)->leave(id_, Parting::Abandoned);
}

Admission::Admission(AdmissionOptions options, std::function<void()> poke)
    : options_(std::move(options)),
      poke_(std::move(poke)),
      since_(std::chrono::system_clock::now()),
      poison_(options_.suspects_max, options_.suspect_time),
      keep_alive_(options_.idle_unload) {}

Awaitable<Result<Admission::Lease>> Admission::lease(
    Fingerprint request, std::optional<std::chrono::milliseconds> keep_alive, Deadline deadline) {
    Waiting waiting(*this);
    while (true) {
        const std::uint64_t seen = wake_.version();
        CO_TRY(std::optional<Lease> lease, try_enter(request, keep_alive, waiting));
        if (lease) co_return *std::move(lease);
        if (deadline.passed()) co_return fail(not_ready());
        co_await wake_.wait(seen, deadline);
    }
}

Awaitable<bool> Admission::ended(std::uint64_t generation, Deadline deadline) {
    while (true) {
        const std::uint64_t seen = wake_.version();
        {
            MutexLock lock(mutex_);
            if (generation_ended_ >= generation) co_return true;
        }
        if (deadline.passed()) co_return false;
        co_await wake_.wait(seen, deadline);
    }
}

// The lease, an error, or nothing: wait and ask again.
Result<std::optional<Admission::Lease>> Admission::try_enter(
    const Fingerprint& request, std::optional<std::chrono::milliseconds> keep_alive,
    Waiting& waiting) {
    bool started = false;
    std::optional<Lease> lease;
    {
        MutexLock lock(mutex_);
        const Clock::time_point now = Clock::now();
        const std::size_t deaths = poison_.empty() ? 0 : poison_.deaths(request, now);
        TRY_VOID(check_deaths(deaths));
        TRY(const bool may, may_enter(deaths == 1, waiting.counted));
        if (may) {
            end_wait(waiting);
            lease.emplace();
            lease->owner_ = this;
            lease->id_ = ++last_id_;
            lease->generation_ = generation_;
            lease->address_ = address_;
            inside_[last_id_] = {.request = request, .entered = now, .alone = deaths == 1};
            ++active_;
            one_alone_ = deaths == 1;
            keep_alive_ = keep_alive ? keep_alive : options_.idle_unload;
        } else {
            if (!waiting.counted && waiting_ >= options_.waiting_max) {
                return fail(
                    {.code = Code::Overloaded,
                     .message = format("{} calls already wait for {}", waiting_, options_.model),
                     .retry_after = std::chrono::seconds(1)});
            }
            begin_wait(waiting, deaths == 1);
            started = !std::exchange(wanted_, true);
        }
    }
    if (started) poke_();
    return lease;
}

Result<void> Admission::check_deaths(std::size_t deaths) const {
    if (deaths < 2) return {};
    return fail({.code = Code::InvalidArgument,
                 .message = format("this request was being served both times when the worker of {} "
                                   "died; it is not tried again",
                                   options_.model),
                 .reason = "poison_request",
                 .param = "input"});
}

Result<void> Admission::check_poison(const Fingerprint& request) const {
    MutexLock lock(mutex_);
    return check_deaths(poison_.deaths(request, Clock::now()));
}

// A suspect enters only when nobody is inside, and while it is, nobody else does.
Result<bool> Admission::may_enter(bool suspect, bool waited) {
    if (closed_) return fail(Code::Unavailable, format("{} is shutting down", options_.model));
    if (state_ == WorkerState::Refused && Clock::now() < refused_until_) return fail(refusal_);
    if (failing_) {
        return fail(
            {.code = Code::Unavailable,
             .message = format("the worker of {} keeps failing: {}", options_.model, message_),
             .reason = "worker_failing",
             .retry_after = std::chrono::seconds(5)});
    }
    if (state_ != WorkerState::Ready || draining_) return false;
    if (one_alone_ || doubted_ || full(waited)) return false;
    return suspect ? active_ == 0 : suspects_waiting_ == 0;
}

// Who comes now does not overtake those who wait for a place.
bool Admission::full(bool waited) const {
    if (options_.calls_max == 0) return false;
    return active_ + (waited ? 0 : waiting_) >= options_.calls_max;
}

void Admission::leave(std::uint64_t id, Parting parting) {
    bool poke = false;
    {
        MutexLock lock(mutex_);
        const auto found = inside_.find(id);
        if (found == inside_.end()) return;  // that process has ended
        used_ = Clock::now();
        --active_;
        if (found->second.alone) one_alone_ = false;
        if (parting == Parting::Broken) doubted_ = true;
        if (parting == Parting::Answered) {
            if (found->second.alone) poison_.clear(found->second.request);
            inside_.erase(found);
        } else {
            found->second.abandoned = used_;
        }
        if (waiting_ > 0) wake_.notify_all();
        poke = doubted_ || (active_ == 0 && (retiring_ || keep_alive_));
    }
    if (poke) poke_();
}

void Admission::want() {
    {
        MutexLock lock(mutex_);
        wanted_ = true;
        asked_for_ = true;
        refused_until_ = {};
    }
    poke_();
}

void Admission::retire(bool drain) {
    {
        MutexLock lock(mutex_);
        retiring_ = state_ == WorkerState::Ready;
        draining_ = retiring_ && (drain || draining_);
    }
    poke_();
}

std::optional<Admission::Clock::time_point> Admission::idle_since() const {
    MutexLock lock(mutex_);
    if (state_ != WorkerState::Ready || active_ > 0 || waiting_ > 0) return std::nullopt;
    return used_;
}

std::optional<Admission::Clock::time_point> Admission::ready_since() const {
    MutexLock lock(mutex_);
    if (state_ != WorkerState::Ready) return std::nullopt;
    return ready_since_;
}

void Admission::close() {
    MutexLock lock(mutex_);
    closed_ = true;
    wake_.notify_all();
}

bool Admission::wants_process() const {
    MutexLock lock(mutex_);
    return wanted_ && !closed_;
}

void Admission::set_state(WorkerState state, std::string message) {
    if (state != state_) since_ = std::chrono::system_clock::now();
    state_ = state;
    message_ = std::move(message);
    wake_.notify_all();
}

void Admission::enter(WorkerState state, std::string message) {
    MutexLock lock(mutex_);
    set_state(state, std::move(message));
}

void Admission::give_up_waiting(std::string message) {
    MutexLock lock(mutex_);
    failing_ = true;
    set_state(WorkerState::Waiting, std::move(message));
}

void Admission::refuse(Error error) {
    MutexLock lock(mutex_);
    const auto time = error.retry_after.value_or(options_.refused_time);
    refused_until_ = Clock::now() + std::min(time, options_.refused_time);
    refusal_ = std::move(error);
    wanted_ = false;
    asked_for_ = false;
    failing_ = false;
    set_state(WorkerState::Refused, refusal_.message);
}

bool Admission::unwanted() const {
    MutexLock lock(mutex_);
    return waiting_ == 0 && !asked_for_;
}

void Admission::withdraw() {
    MutexLock lock(mutex_);
    wanted_ = waiting_ > 0 || asked_for_;
    failing_ = false;  // or nobody could enter the queue that starts the next one
    set_state(WorkerState::Unloaded, {});
}

void Admission::serve(std::uint64_t generation, std::string address) {
    MutexLock lock(mutex_);
    generation_ = generation;
    address_ = std::move(address);
    failing_ = false;
    used_ = Clock::now();
    ready_since_ = used_;
    set_state(WorkerState::Ready, {});
}

// A call whose caller left is out of the worker once everything running there began after that:
// what is cancelled and still queued is never run.
void Admission::heard(std::optional<Clock::time_point> running_since) {
    MutexLock lock(mutex_);
    std::erase_if(inside_, [&](const auto& entry) {
        const auto& abandoned = entry.second.abandoned;
        return abandoned && (!running_since || *abandoned < *running_since);
    });
    if (std::exchange(doubted_, false)) wake_.notify_all();
}

bool Admission::doubted() const {
    MutexLock lock(mutex_);
    return doubted_;
}

void Admission::bury_dead(std::uint64_t generation, std::optional<Clock::time_point> stuck_since) {
    MutexLock lock(mutex_);
    const Clock::time_point now = Clock::now();
    for (const auto& [id, call] : inside_) {
        if (!stuck_since || call.entered <= *stuck_since) poison_.blame(call.request, now);
    }
    bury(generation);
}

void Admission::bury_retired(std::uint64_t generation) {
    MutexLock lock(mutex_);
    bury(generation);
}

// Nobody may enter a dead process: the door closes with the burial.
void Admission::bury(std::uint64_t generation) {
    if (state_ == WorkerState::Ready) set_state(WorkerState::Waiting, {});
    inside_.clear();
    active_ = 0;
    one_alone_ = false;
    doubted_ = false;
    retiring_ = false;
    draining_ = false;
    generation_ended_ = generation;
    wake_.notify_all();
}

std::optional<Admission::Clock::time_point> Admission::due_locked() const {
    if (state_ != WorkerState::Ready || active_ > 0) return std::nullopt;
    if (retiring_) return used_;
    if (!keep_alive_ || keep_alive_->count() < 0) return std::nullopt;
    // Times beyond a century are "for ever": adding them to a clock would overflow.
    if (*keep_alive_ > std::chrono::hours(24 * 36'500)) return std::nullopt;
    return used_ + *keep_alive_;
}

std::optional<Admission::Clock::time_point> Admission::due() const {
    MutexLock lock(mutex_);
    return due_locked();
}

bool Admission::begin_retirement() {
    MutexLock lock(mutex_);
    const auto when = due_locked();
    if (!when || *when > Clock::now() || (waiting_ > 0 && !draining_)) return false;
    wanted_ = waiting_ > 0;
    asked_for_ = false;
    set_state(WorkerState::Stopping, {});
    return true;
}

Admission::Snapshot Admission::snapshot() const {
    MutexLock lock(mutex_);
    return {.state = state_,
            .since = since_,
            .due = due_locked(),
            .calls = active_,
            .message = message_};
}

Error Admission::not_ready() const {
    MutexLock lock(mutex_);
    if (state_ == WorkerState::Ready) {
        return {.code = Code::DeadlineExceeded,
                .message = format("no turn at the worker of {} in time", options_.model)};
    }
    return {.code = Code::Unavailable,
            .message = format("{} is {}; it did not become ready in time", options_.model,
                              to_string(state_)),
            .reason = "model_loading",
            .retry_after = std::chrono::seconds(1)};
}

}  // namespace hearth::worker
