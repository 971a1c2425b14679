#include "backends/worker/text_pool.h"

#include <pthread.h>

#include <utility>

#include "base/error.h"
#include "base/format.h"

namespace hearth::worker {

TextPool::TextPool(std::size_t threads, std::size_t queued_max) : queued_max_(queued_max) {
    CHECK(threads >= 1);
    for (std::size_t i = 0; i < threads; ++i) {
        threads_.emplace_back([this] { serve(); });
        pthread_setname_np(threads_.back().native_handle(), format("text-{}", i % 1000).c_str());
    }
}

TextPool::~TextPool() {
    {
        MutexLock lock(mutex_);
        stopping_ = true;
    }
    arrived_.notify_all();
    threads_.clear();
}

bool TextPool::post(std::move_only_function<void()>& work) {
    {
        MutexLock lock(mutex_);
        if (queue_.size() >= queued_max_) return false;
        queue_.push_back(std::move(work));
    }
    arrived_.notify_one();
    return true;
}

void TextPool::serve() {
    while (true) {
        std::move_only_function<void()> work;
        {
            MutexLock lock(mutex_);
            while (queue_.empty() && !stopping_) arrived_.wait(mutex_);
            if (queue_.empty()) return;
            work = std::move(queue_.front());
            queue_.pop_front();
        }
        work();
    }
}

}  // namespace hearth::worker
