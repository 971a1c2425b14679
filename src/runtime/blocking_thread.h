#pragma once

#include <atomic>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cstddef>
#include <functional>
#include <string>
#include <utility>

#include "base/error.h"
#include "runtime/awaitable.h"

namespace hearth::runtime {

// A thread for what blocks or computes, so that shards need not. Jobs run one after the other in
// the order they came. Thread-safe. The destructor waits for the job that runs.
class BlockingThread {
  public:
    // `busy`: what a caller is told when `jobs_max` wait.
    BlockingThread(std::size_t jobs_max, std::string busy)
        : jobs_max_(jobs_max), busy_(std::move(busy)) {}
    ~BlockingThread() {
        pool_.stop();
        pool_.join();
    }
    BlockingThread(const BlockingThread&) = delete;
    BlockingThread& operator=(const BlockingThread&) = delete;

    // Runs `job` there and returns what it returns, on the caller's shard. A caller that is
    // cancelled waits for a job that has begun. Errors: Overloaded (jobs_max wait), the job's own.
    template <class T>
    Awaitable<Result<T>> run(std::move_only_function<Result<T>()> job) {
        if (jobs_.fetch_add(1) >= jobs_max_) {
            jobs_.fetch_sub(1);
            co_return fail(Code::Overloaded, busy_);
        }
        auto task = [](std::move_only_function<Result<T>()> work,
                       std::atomic<std::size_t>& jobs) -> Awaitable<Result<T>> {
            Result<T> result = work();
            jobs.fetch_sub(1);
            co_return result;
        };
        co_return co_await boost::asio::co_spawn(pool_, task(std::move(job), jobs_),
                                                 boost::asio::use_awaitable);
    }

  private:
    const std::size_t jobs_max_;
    const std::string busy_;
    std::atomic<std::size_t> jobs_ = 0;
    boost::asio::thread_pool pool_{1};
};

}  // namespace hearth::runtime
