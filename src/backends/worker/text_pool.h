#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <thread>
#include <vector>

#include "base/thread_safety.h"

namespace hearth::worker {

// The threads that turn text into tokens, apart from compute and from the shard. Thread-safe. The
// destructor runs what is queued and joins.
class TextPool {
  public:
    // REQUIRES threads >= 1.
    TextPool(std::size_t threads, std::size_t queued_max);
    ~TextPool();
    TextPool(const TextPool&) = delete;
    TextPool& operator=(const TextPool&) = delete;

    // False, and `work` untouched, when the queue is full.
    bool post(std::move_only_function<void()>& work) EXCLUDES(mutex_);
    std::size_t threads() const { return threads_.size(); }

  private:
    void serve() EXCLUDES(mutex_);

    const std::size_t queued_max_;
    Mutex mutex_;
    std::condition_variable_any arrived_;
    std::deque<std::move_only_function<void()>> queue_ GUARDED_BY(mutex_);
    bool stopping_ GUARDED_BY(mutex_) = false;
    std::vector<std::jthread> threads_;
};

}  // namespace hearth::worker
