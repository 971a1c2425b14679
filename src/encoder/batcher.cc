#include "encoder/batcher.h"

#include <pthread.h>

#include <algorithm>
#include <condition_variable>
#include <string>
#include <thread>
#include <utility>

#include "base/format.h"
#include "base/thread_safety.h"
#include "encoder/batcher_queue.h"

namespace hearth::encoder {
namespace {

using Clock = std::chrono::steady_clock;
using Item = BatchQueue::Item;

std::uint64_t nanoseconds(Clock::duration time) {
    return static_cast<std::uint64_t>(
        std::chrono::duration_cast<std::chrono::nanoseconds>(time).count());
}

struct Queued {
    Job job;
    Clock::time_point since;
};

// What one session's thread reuses from batch to batch.
struct Workspace {
    std::vector<Item> taken;
    std::vector<Item> dropped;
    std::vector<Job> batch;
    std::vector<std::pair<Job, Code>> dead;
    std::vector<std::int32_t> ids;
    std::vector<std::uint32_t> lengths;
    std::vector<float> rows;
    Clock::time_point started;
};

Error drop_error(Code code) {
    if (code == Code::DeadlineExceeded) {
        return {.code = code, .message = "the deadline passed while the text was queued"};
    }
    return {.code = Code::Cancelled, .message = "the caller left while the text was queued"};
}

}  // namespace

struct Batcher::Impl {
    Impl(Engine& engine_in, BatcherOptions options_in)
        : engine(engine_in),
          options(options_in),
          running_since(engine_in.sessions()),
          idle(engine_in.sessions()) {}

    Result<void> check(const std::vector<Job>& jobs) const;
    Result<void> admit(std::vector<Job>& jobs) EXCLUDES(mutex);
    void serve(std::size_t session) EXCLUDES(mutex);
    bool next(std::size_t session, Workspace& work) EXCLUDES(mutex);
    void drop_dead(Workspace& work) REQUIRES(mutex);
    Queued claim(Item item) REQUIRES(mutex);
    void run(std::size_t session, Workspace& work);
    void run_alone(std::size_t session, Job& job, Workspace& work);
    void finish(std::size_t session, const Workspace& work) EXCLUDES(mutex);

    // Fixed after construction.
    Engine& engine;
    const BatcherOptions options;

    mutable Mutex mutex;
    std::condition_variable_any arrived;
    BatchQueue queue GUARDED_BY(mutex);
    std::vector<Queued> slots GUARDED_BY(mutex);
    std::vector<std::uint32_t> free_slots GUARDED_BY(mutex);
    std::vector<Clock::time_point> running_since GUARDED_BY(mutex);
    std::size_t idle GUARDED_BY(mutex);  // sessions that run nothing, also before their first wait
    bool stopping GUARDED_BY(mutex) = false;
    BatcherStats totals GUARDED_BY(mutex);

    std::vector<std::jthread> threads;
};

Batcher::Batcher(Engine& engine, BatcherOptions options)
    : impl_(std::make_unique<Impl>(engine, options)) {
    CHECK(engine.sessions() >= 1);
    for (std::size_t session = 0; session < engine.sessions(); ++session) {
        impl_->threads.emplace_back([impl = impl_.get(), session] { impl->serve(session); });
        pthread_setname_np(impl_->threads.back().native_handle(),
                           format("encode-{}", session % 1000).c_str());
    }
}

Batcher::~Batcher() {
    {
        MutexLock lock(impl_->mutex);
        impl_->stopping = true;
    }
    impl_->arrived.notify_all();
    impl_->threads.clear();
    std::vector<Item> left;
    std::vector<Job> jobs;
    {
        MutexLock lock(impl_->mutex);
        impl_->queue.drop([](Item) { return true; }, left);
        for (const Item item : left) jobs.push_back(std::move(impl_->claim(item).job));
    }
    for (Job& job : jobs) job.done(fail(Code::Cancelled, "the encoder is shutting down"));
}

Result<void> Batcher::submit(std::vector<Job> jobs) {
    TRY_VOID(impl_->check(jobs));
    return impl_->admit(jobs);
}

BatcherStats Batcher::stats() const {
    MutexLock lock(impl_->mutex);
    BatcherStats stats = impl_->totals;
    stats.queued_texts = impl_->queue.texts();
    stats.queued_tokens = impl_->queue.tokens();
    for (const Clock::time_point since : impl_->running_since) {
        if (since == Clock::time_point{}) continue;
        if (stats.running_since == Clock::time_point{} || since < stats.running_since) {
            stats.running_since = since;
        }
    }
    return stats;
}

Result<void> Batcher::Impl::check(const std::vector<Job>& jobs) const {
    const std::size_t tokens_max = engine.config().tokens_max;
    for (const Job& job : jobs) {
        if (job.ids.empty() || job.ids.size() > tokens_max) {
            return fail(Code::InvalidArgument, format("a text has {} tokens; 1 to {} are allowed",
                                                      job.ids.size(), tokens_max));
        }
    }
    return {};
}

Result<void> Batcher::Impl::admit(std::vector<Job>& jobs) {
    std::size_t tokens = 0;
    for (const Job& job : jobs) tokens += job.ids.size();
    const Clock::time_point now = Clock::now();
    std::size_t wake = 0;
    {
        MutexLock lock(mutex);
        if (stopping) return fail(Code::Cancelled, "the encoder is shutting down");
        if (queue.texts() + jobs.size() > options.queue_texts_max ||
            queue.tokens() + tokens > options.queue_tokens_max) {
            return fail(Code::Overloaded,
                        format("the queue is full: {} texts and {} tokens are waiting",
                               queue.texts(), queue.tokens()));
        }
        for (Job& job : jobs) {
            const auto length = static_cast<std::uint32_t>(job.ids.size());
            if (free_slots.empty()) {
                free_slots.push_back(static_cast<std::uint32_t>(slots.size()));
                slots.emplace_back();
            }
            const std::uint32_t slot = free_slots.back();
            free_slots.pop_back();
            slots[slot] = {.job = std::move(job), .since = now};
            queue.push({.tokens = length, .slot = slot});
        }
        wake = std::min(idle, jobs.size());
    }
    for (; wake > 0; --wake) arrived.notify_one();
    return {};
}

void Batcher::Impl::serve(std::size_t session) {
    Workspace work;
    while (next(session, work)) {
        for (auto& [job, code] : work.dead) job.done(fail(drop_error(code)));
        work.dead.clear();
        if (!work.batch.empty()) run(session, work);
        finish(session, work);
        work.batch.clear();
    }
}

// Waits for work and takes a batch. False: the batcher is being destroyed.
bool Batcher::Impl::next(std::size_t session, Workspace& work) {
    MutexLock lock(mutex);
    while (queue.empty() && !stopping) arrived.wait(mutex);
    if (stopping) return false;
    work.started = Clock::now();
    drop_dead(work);
    queue.take(options.batch_tokens_max, idle, work.taken);
    for (const Item item : work.taken) {
        Queued queued = claim(item);
        totals.queue_ns += nanoseconds(work.started - queued.since);
        work.batch.push_back(std::move(queued.job));
    }
    if (!work.batch.empty()) running_since[session] = work.started;
    --idle;
    // Another idle session takes what is left.
    if (!queue.empty() && idle > 0) arrived.notify_one();
    return true;
}

void Batcher::Impl::drop_dead(Workspace& work) {
    work.dropped.clear();
    const auto verdict = [&](Item item) HEARTH_TSA(no_thread_safety_analysis) {
        const Job& job = slots[item.slot].job;
        return job.deadline <= work.started || (job.cancelled && job.cancelled());
    };
    queue.drop(verdict, work.dropped);
    for (const Item item : work.dropped) {
        Job job = std::move(claim(item).job);
        const bool late = job.deadline <= work.started;
        work.dead.emplace_back(std::move(job), late ? Code::DeadlineExceeded : Code::Cancelled);
    }
}

Queued Batcher::Impl::claim(Item item) {
    free_slots.push_back(item.slot);
    return std::exchange(slots[item.slot], {});
}

void Batcher::Impl::run(std::size_t session, Workspace& work) {
    const std::size_t hidden = engine.config().hidden;
    work.ids.clear();
    work.lengths.clear();
    for (const Job& job : work.batch) {
        work.ids.insert(work.ids.end(), job.ids.begin(), job.ids.end());
        work.lengths.push_back(static_cast<std::uint32_t>(job.ids.size()));
    }
    work.rows.resize(work.batch.size() * hidden);
    const Result<void> ran = engine.run(session, work.ids, work.lengths, work.rows);
    if (!ran && work.batch.size() > 1) {
        for (Job& job : work.batch) run_alone(session, job, work);
        return;
    }
    for (std::size_t i = 0; i < work.batch.size(); ++i) {
        if (!ran) {
            work.batch[i].done(fail(ran.error()));
            continue;
        }
        const auto values = std::span<const float>(work.rows).subspan(i * hidden, hidden);
        work.batch[i].done(Row{.values = values, .started = work.started});
    }
}

void Batcher::Impl::run_alone(std::size_t session, Job& job, Workspace& work) {
    const std::uint32_t length = static_cast<std::uint32_t>(job.ids.size());
    const auto row = std::span<float>(work.rows).first(engine.config().hidden);
    if (const Result<void> ran = engine.run(session, job.ids, {&length, 1}, row); !ran) {
        job.done(fail(ran.error()));
        return;
    }
    job.done(Row{.values = row, .started = work.started});
}

void Batcher::Impl::finish(std::size_t session, const Workspace& work) {
    const std::uint64_t compute_ns = nanoseconds(Clock::now() - work.started);
    MutexLock lock(mutex);
    running_since[session] = {};
    ++idle;
    if (work.batch.empty()) return;
    totals.batches += 1;
    totals.texts += work.batch.size();
    for (const Item item : work.taken) totals.tokens += item.tokens;
    totals.compute_ns += compute_ns;
}

}  // namespace hearth::encoder
