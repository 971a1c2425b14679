#include "backends/worker/supervisor.h"

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <boost/asio/io_context.hpp>
#include <fstream>
#include <future>
#include <random>
#include <utility>

#include "backends/worker/backoff.h"
#include "backends/worker/memory_ledger.h"
#include "backends/worker/protocol.h"
#include "backends/worker/socket_dir.h"
#include "backends/worker/worker_end.h"
#include "base/format.h"
#include "http/client.h"
#include "runtime/child_process.h"
#include "runtime/event.h"
#include "runtime/shard.h"
#include "runtime/task_group.h"
#include "telemetry/log.h"

namespace hearth::worker {
namespace {

namespace asio = boost::asio;
using Clock = std::chrono::steady_clock;
using runtime::ChildProcess;
using runtime::Event;
using runtime::ExitStatus;

constexpr auto kPollStep = std::chrono::milliseconds(3);
constexpr auto kKillTime = std::chrono::seconds(10);
constexpr auto kExitNoticeTime = std::chrono::milliseconds(100);
// A broken connection is a death when the process's end follows this soon.
constexpr auto kDeathNoticeTime = std::chrono::seconds(2);
constexpr std::size_t kStartFailuresPatience = 3;

std::uint64_t resident_bytes(int pid) {
    std::ifstream statm(format("/proc/{}/statm", pid));
    std::uint64_t total = 0;
    std::uint64_t resident = 0;
    if (!(statm >> total >> resident)) return 0;
    return resident * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
}

AdmissionOptions admission_options(const WorkerOptions& options) {
    return {.model = options.model,
            .calls_max = options.calls_max,
            .waiting_max = options.waiting_max,
            .suspects_max = options.suspects_max,
            .suspect_time = options.suspect_time,
            .refused_time = options.refused_time,
            .idle_unload = options.idle_unload};
}

Error refusal(std::string why) {
    return {.code = Code::Unavailable, .message = std::move(why), .reason = "model_refused"};
}

// What happened to one process.
struct Life {
    End end = End::Exited;
    std::optional<Clock::time_point> ready_at;
    std::optional<Clock::time_point> stuck_since;
};

}  // namespace

inference::Health health_of(WorkerState state) {
    switch (state) {
        case WorkerState::Unloaded:
        case WorkerState::Starting: return inference::Health::Starting;
        case WorkerState::Ready: return inference::Health::Ready;
        case WorkerState::Waiting:
        case WorkerState::Refused:
        case WorkerState::Stopping: return inference::Health::Down;
    }
    return inference::Health::Down;
}

struct WorkerSupervisor::Impl final : MemoryHolder {
    Impl(runtime::Shards& shards_in, std::size_t shard_in, WorkerOptions options_in,
         WorkerMetrics metrics_in)
        : shards(shards_in),
          shard(shard_in),
          options(std::move(options_in)),
          metrics(metrics_in),
          event(std::make_shared<Event>(shards.io(shard))),
          admission(admission_options(options), [this] { poke(); }),
          group(shards.io(shard)) {}

    void poke() {
        shards.post(shard, [event = event] { event->notify(); });
    }

    std::optional<Clock::time_point> idle_since() const override { return admission.idle_since(); }
    std::optional<Clock::time_point> ready_since() const override {
        return admission.ready_since();
    }
    void give_back(bool drain) override { admission.retire(drain); }

    Awaitable<void> control_task();
    Awaitable<bool> take_memory();
    Awaitable<Result<MemoryLedger::Grant>> reserve_memory();
    std::string_view why_now() const;
    Awaitable<void> pause();
    Awaitable<void> run_worker();
    Result<void> start_child();
    Awaitable<void> exit_task(std::uint64_t of_generation);
    Awaitable<bool> become_ready(Life& life);
    Awaitable<void> watch(Life& life);
    Awaitable<bool> heartbeat(Life& life);
    Awaitable<void> end_process(const Life& life);
    void conclude(const Life& life);
    void conclude_failure(const Life& life);

    // Fixed after construction.
    runtime::Shards& shards;
    const std::size_t shard;
    const WorkerOptions options;
    const WorkerMetrics metrics;
    const std::shared_ptr<Event> event;  // outlives us in what was posted
    Admission admission;

    // Shard-local.
    bool stopping = false;
    MemoryLedger::Grant grant;
    std::chrono::milliseconds load_time{1'000};  // of the last load
    SocketDir directory;
    std::uint64_t generation = 0;
    std::filesystem::path socket;
    std::unique_ptr<ChildProcess> child;
    std::unique_ptr<http::Client> client;
    std::optional<ExitStatus> exited;
    std::string last_line;
    bool explained = false;    // last_line says why the process ends
    std::string departure;     // how the last process ended
    std::size_t failures = 0;  // in a row
    std::minstd_rand random{std::random_device{}()};

    // Any thread.
    std::atomic<bool> started = false;
    std::atomic<int> pid = 0;
    std::atomic<std::uint64_t> restarts = 0;

    runtime::TaskGroup group;
};

WorkerSupervisor::WorkerSupervisor(runtime::Shards& shards, std::size_t shard,
                                   WorkerOptions options, WorkerMetrics metrics)
    : impl_(std::make_unique<Impl>(shards, shard, std::move(options), metrics)) {}

WorkerSupervisor::~WorkerSupervisor() { CHECK(!impl_->started); }

void WorkerSupervisor::start() {
    CHECK(!impl_->started.exchange(true));
    if (impl_->options.eager) impl_->admission.want();
    impl_->shards.post(impl_->shard, [impl = impl_.get()] {
        impl->group.spawn("worker supervisor", impl->control_task());
    });
}

void WorkerSupervisor::stop() {
    if (!impl_->started.exchange(false)) return;
    impl_->admission.close();
    std::promise<void> ended;
    impl_->shards.post(impl_->shard, [impl = impl_.get(), &ended] {
        impl->stopping = true;
        impl->event->notify();
        impl->group.when_empty([&ended] { ended.set_value(); });
    });
    ended.get_future().wait();
}

void WorkerSupervisor::load() { impl_->admission.want(); }
void WorkerSupervisor::unload() { impl_->admission.retire(); }
void WorkerSupervisor::renew() { impl_->admission.retire(true); }
const WorkerOptions& WorkerSupervisor::options() const { return impl_->options; }

WorkerStatus WorkerSupervisor::status() const {
    const Admission::Snapshot door = impl_->admission.snapshot();
    WorkerStatus status{.state = door.state,
                        .pid = impl_->pid,
                        .since = door.since,
                        .restarts = impl_->restarts,
                        .calls = door.calls,
                        .message = door.message};
    if (status.pid > 0) status.resident_bytes = resident_bytes(status.pid);
    if (door.due) {
        const auto left = *door.due - Clock::now();
        status.expires_at = std::chrono::system_clock::now() +
                            std::chrono::duration_cast<std::chrono::system_clock::duration>(left);
    }
    return status;
}

WorkerState WorkerSupervisor::state() const { return impl_->admission.snapshot().state; }

Awaitable<Result<WorkerSupervisor::Lease>> WorkerSupervisor::lease(
    Fingerprint request, std::optional<std::chrono::milliseconds> keep_alive, Deadline deadline) {
    co_return co_await impl_->admission.lease(request, keep_alive, deadline);
}

Awaitable<Result<std::chrono::nanoseconds>> WorkerSupervisor::bring(
    std::optional<std::chrono::milliseconds> keep_alive, Deadline deadline) {
    if (keep_alive && keep_alive->count() == 0) {
        unload();
        co_return std::chrono::nanoseconds(0);
    }
    const auto begun = Clock::now();
    CO_TRY(auto entered, co_await lease({}, keep_alive, deadline));
    entered.answered();
    co_return Clock::now() - begun;
}

Awaitable<Result<void>> WorkerSupervisor::check_lost(Fingerprint request, std::uint64_t generation,
                                                     Deadline deadline) {
    const bool died = co_await impl_->admission.ended(
        generation, deadline.earlier(Deadline::after(kDeathNoticeTime)));
    if (died) CO_TRY_VOID(impl_->admission.check_poison(request));
    co_return Result<void>();
}

Awaitable<void> WorkerSupervisor::Impl::control_task() {
    while (!stopping) {
        if (!admission.wants_process()) {
            co_await event->wait_until(Clock::time_point::max());
            continue;
        }
        co_await pause();
        if (stopping || !co_await take_memory()) continue;
        if (!stopping) co_await run_worker();
        grant.release(stopping ? "the server stops" : departure);
    }
    directory = {};
}

// False when there will be none: whoever waits has been told why.
Awaitable<bool> WorkerSupervisor::Impl::take_memory() {
    if (options.ledger == nullptr) co_return true;
    admission.enter(WorkerState::Starting);
    auto got = co_await reserve_memory();
    if (got) {
        grant = *std::move(got);
        co_return true;
    }
    if (stopping) co_return false;
    if (got.error().code == Code::Cancelled) {
        admission.withdraw();
        co_return false;
    }
    log::error("worker has no memory model={} reason=\"{}\"", options.model, got.error().message);
    const bool typed = got.error().code == Code::TooLarge || got.error().retry_after;
    admission.refuse(typed ? got.error() : refusal(got.error().message));
    co_return false;
}

Awaitable<Result<MemoryLedger::Grant>> WorkerSupervisor::Impl::reserve_memory() {
    CO_TRY(DeviceBytes need, co_await options.estimate_memory(shards.io(shard)));
    co_return co_await options.ledger->reserve({.model = options.model,
                                                .need = std::move(need),
                                                .reload_time = load_time,
                                                .holder = this,
                                                .why = std::string(why_now())},
                                               Deadline::after(options.memory_time),
                                               [this] { return stopping || admission.unwanted(); });
}

std::string_view WorkerSupervisor::Impl::why_now() const {
    if (failures > 0) return "its process ended";
    return options.eager && generation == 0 ? "preloaded" : "asked for";
}

// Between a failure and the next start.
Awaitable<void> WorkerSupervisor::Impl::pause() {
    const double dice = std::uniform_real_distribution<double>(0, 1)(random);
    const auto wait = backoff(failures, options.backoff_first, options.backoff_max, dice);
    const auto until = Clock::now() + wait;
    while (!stopping && Clock::now() < until) co_await event->wait_until(until);
}

Awaitable<void> WorkerSupervisor::Impl::run_worker() {
    // While calls are refused at once they stay so until the worker is ready.
    admission.enter(WorkerState::Starting, failures > 0 ? last_line : std::string());
    ++generation;
    exited.reset();
    last_line.clear();
    explained = false;
    Life life;
    if (const Result<void> start = start_child(); !start) {
        last_line = start.error().message;
        conclude(life);
        co_return;
    }
    group.spawn("worker exit", exit_task(generation));
    if (co_await become_ready(life)) co_await watch(life);
    co_await end_process(life);
    conclude(life);
}

Result<void> WorkerSupervisor::Impl::start_child() {
    if (!directory) {
        TRY(directory, SocketDir::make(options.runtime_dir));
    }
    socket = directory.path() / format("{}.sock", generation);
    runtime::ChildOptions child_options{.program = options.program,
                                        .arguments = options.kind->arguments(options.files, socket),
                                        .environment = options.environment};
    child_options.arguments.insert(child_options.arguments.end(), options.arguments.begin(),
                                   options.arguments.end());
    if (options.late_arguments) {
        std::ranges::move(options.late_arguments(), std::back_inserter(child_options.arguments));
    }
    child_options.on_line = [this](std::string_view line) {
        if (line.empty()) return;
        if (!explained) last_line = line;
        explained = explained || options.kind->explains(line);
        log::info("worker says model={} generation={} line=\"{}\"", options.model, generation,
                  line);
    };
    TRY(child, ChildProcess::start(shards.io(shard), std::move(child_options)));
    pid = child->pid();
    client = std::make_unique<http::Client>("unix:" + socket.string());
    log::info("worker started model={} generation={} pid={}", options.model, generation,
              pid.load());
    return {};
}

Awaitable<void> WorkerSupervisor::Impl::exit_task(std::uint64_t of_generation) {
    const ExitStatus status = co_await child->wait();
    // A process the kernel would not let go ends after its successor has begun.
    if (of_generation != generation) co_return;
    exited = status;
    event->notify();
}

// Asks for its health every few milliseconds until it answers.
Awaitable<bool> WorkerSupervisor::Impl::become_ready(Life& life) {
    const auto begun = Clock::now();
    const Deadline limit = Deadline::at(begun + options.start_time);
    life.end = End::NeverReady;
    while (!limit.passed()) {
        if (exited) life.end = End::Exited;
        if (stopping) life.end = End::Retired;
        if (exited || stopping) co_return false;
        http::Call call{.method = http::Method::Get, .target = "/health"};
        const auto reply = co_await client->send(
            std::move(call), limit.earlier(Deadline::after(options.heartbeat_time)));
        if (reply && reply->status == 200) {
            life.ready_at = Clock::now();
            load_time = std::chrono::ceil<std::chrono::milliseconds>(*life.ready_at - begun);
            admission.serve(generation, "unix:" + socket.string());
            log::info("worker ready model={} generation={} load_ms={}", options.model, generation,
                      std::chrono::duration_cast<std::chrono::milliseconds>(*life.ready_at - begun)
                          .count());
            co_return true;
        }
        co_await event->wait_until(Clock::now() + kPollStep);
    }
    co_return false;
}

// From ready until the process has ended or must.
Awaitable<void> WorkerSupervisor::Impl::watch(Life& life) {
    auto next_beat = Clock::now() + options.heartbeat_interval;
    while (true) {
        co_await event->wait_until(
            std::min(next_beat, admission.due().value_or(Clock::time_point::max())));
        life.end = End::Exited;
        if (exited) co_return;
        life.end = End::Retired;
        if (stopping || admission.begin_retirement()) co_return;
        if (Clock::now() < next_beat && !admission.doubted()) continue;
        if (!co_await heartbeat(life)) co_return;
        next_beat = Clock::now() + options.heartbeat_interval;
    }
}

Awaitable<bool> WorkerSupervisor::Impl::heartbeat(Life& life) {
    http::Call call{.method = http::Method::Get,
                    .target = std::string(options.kind->heartbeat_target)};
    const auto reply =
        co_await client->send(std::move(call), Deadline::after(options.heartbeat_time));
    const auto heard = reply && reply->status == 200
                           ? options.kind->read_heartbeat(reply->body)
                           : Result<Heartbeat>(fail(Code::BadUpstream, "no heartbeat"));
    if (!heard) {
        // A process that died is told from one that is silent by its exit, which follows at once.
        const auto limit = Clock::now() + kExitNoticeTime;
        while (!exited && Clock::now() < limit) co_await event->wait_until(limit);
        life.end = exited ? End::Exited : End::Silent;
        co_return false;
    }
    if (heard->running.count() == 0) {
        admission.heard(std::nullopt);
        co_return true;
    }
    // The moment is late by what the answer took, and early when a task of under 1 ms says 1.
    const auto running_since = Clock::now() - heard->running + std::chrono::milliseconds(1);
    admission.heard(running_since);
    if (heard->running <= options.hang_time) co_return true;
    life.end = End::Hung;
    life.stuck_since = running_since;
    co_return false;
}

Awaitable<void> WorkerSupervisor::Impl::end_process(const Life& life) {
    if (!exited && life.end == End::Retired) {
        child->signal(SIGTERM);
        const auto limit = Clock::now() + options.stop_time;
        while (!exited && Clock::now() < limit) co_await event->wait_until(limit);
    }
    if (!exited) {
        child->signal(SIGKILL);
        const auto limit = Clock::now() + kKillTime;
        while (!exited && Clock::now() < limit) co_await event->wait_until(limit);
    }
    pid = 0;
    client.reset();
    // Ends exit_task if the kernel still holds the process.
    child.reset();
    std::error_code ignored;
    std::filesystem::remove(socket, ignored);
}

void WorkerSupervisor::Impl::conclude(const Life& life) {
    if (life.end == End::Retired) {
        failures = 0;
        departure = "unloaded";
        admission.bury_retired(generation);
        admission.enter(WorkerState::Unloaded);
        log::info("worker unloaded model={} generation={}", options.model, generation);
        return;
    }
    admission.bury_dead(generation, life.stuck_since);
    if (!life.ready_at && exited && exited->code == options.kind->refused_exit) {
        failures = 0;
        departure = "its file was refused";
        log::error("worker refused its model model={} reason=\"{}\"", options.model, last_line);
        std::string why = last_line.empty() ? "the worker refused the model" : last_line;
        why += advice_after(life.end, exited, last_line);
        admission.refuse(refusal(std::move(why)));
        return;
    }
    conclude_failure(life);
}

void WorkerSupervisor::Impl::conclude_failure(const Life& life) {
    const bool was_stable = life.ready_at && Clock::now() - *life.ready_at >= options.stable_time;
    failures = was_stable ? 1 : failures + 1;
    ++restarts;
    metrics.restarts.add();
    const std::string how = exited ? describe(*exited) : "could not be started";
    departure = how;
    log::error("worker ended model={} generation={} why={} status=\"{}\" failures={} last=\"{}\"",
               options.model, generation, to_string(life.end), how, failures, last_line);
    std::string message = last_line.empty() ? how : format("{} ({})", last_line, how);
    message += advice_after(life.end, exited, last_line);
    if (!life.ready_at && failures >= kStartFailuresPatience) {
        admission.give_up_waiting(message);
    } else {
        admission.enter(WorkerState::Waiting, message);
    }
}

}  // namespace hearth::worker
