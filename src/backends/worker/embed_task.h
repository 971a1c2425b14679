#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "backends/worker/protocol.h"
#include "backends/worker/text_pool.h"
#include "base/error.h"
#include "base/thread_safety.h"
#include "encoder/batcher.h"
#include "tokens/text_prep.h"

namespace hearth::worker {

// One call on its way through the worker: its texts become tokens on the text pool, jobs in the
// batcher, rows in the answer. Thread-safe; kept alive by the work still out. `done` is called
// exactly once, from any thread. Identical inputs are computed once.
class EmbedTask : public std::enable_shared_from_this<EmbedTask> {
  public:
    using Clock = std::chrono::steady_clock;
    using Done = std::move_only_function<void(Result<std::string>)>;

    struct Parts {
        const tokens::TextPrep& prep;
        encoder::Batcher& batcher;
        TextPool& pool;
    };

    static std::shared_ptr<EmbedTask> make(Parts parts, Call call, Done done);

    // Small calls are prepared on the calling thread, which costs less than waking another.
    void start();
    // The caller has left: what is queued is not run.
    void cancel() { cancelled_.store(true, std::memory_order_relaxed); }

  private:
    struct Text {
        std::size_t input = 0;  // the first input that says so
        std::vector<std::int32_t> ids;
    };

    EmbedTask(Parts parts, Call call, Done done);

    void prepare_all();
    void find_texts();
    void prepare_range(std::size_t begin, std::size_t end);
    void submit();
    Result<void> check_total() const;
    std::vector<encoder::Job> make_jobs();
    void take_row(std::size_t text, Result<encoder::Row> row);
    void set_error(Error error) EXCLUDES(mutex_);
    void finish() EXCLUDES(mutex_);

    // Fixed after construction.
    const Parts parts_;
    const Call call_;
    const Clock::time_point deadline_;
    Done done_;

    // Fixed once found; each text's ids are written by the one thread that prepares it.
    tokens::TextPrep::Rules rules_;
    std::vector<Text> texts_;
    std::vector<std::size_t> text_of_input_;
    AnswerLayout layout_;
    std::string answer_;  // rows are disjoint: written without a lock
    Clock::time_point submitted_{};

    std::atomic<bool> cancelled_ = false;
    std::atomic<bool> failed_ = false;
    std::atomic<std::size_t> ranges_left_ = 0;
    std::atomic<std::size_t> jobs_left_ = 0;
    std::atomic<Clock::rep> first_started_ = std::numeric_limits<Clock::rep>::max();

    Mutex mutex_;
    std::optional<Error> error_ GUARDED_BY(mutex_);
};

// Cuts `row` to `dimension` values and, if asked, gives the rest length 1. A row of zeros stays.
void finish_row(std::vector<float>& row, std::size_t dimension, bool normalize);

}  // namespace hearth::worker
