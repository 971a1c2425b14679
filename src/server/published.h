#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <utility>

#include "base/thread_safety.h"

namespace hearth::server {

// An immutable value in force, and others in its place. Thread-safe.
//
// Readers keep the value beside the version they asked for first, and ask again when that has
// changed: to see that nothing has is one load, of a line that nobody writes. (std::atomic of a
// shared_ptr would have each of them take a lock bit and write a count.)
template <class T>
class Published {
  public:
    explicit Published(std::shared_ptr<const T> first = nullptr) : value_(std::move(first)) {}

    // Goes up with each value. Asked for before value(), that is at least as new.
    std::uint64_t version() const { return version_.load(std::memory_order_acquire); }
    std::shared_ptr<const T> value() const EXCLUDES(mutex_) {
        const MutexLock lock(mutex_);
        return value_;
    }
    void publish(std::shared_ptr<const T> next) EXCLUDES(mutex_) {
        {
            const MutexLock lock(mutex_);
            value_.swap(next);
            version_.fetch_add(1, std::memory_order_release);
        }
        // The old one, if it ends here, does so while nobody waits.
    }

  private:
    std::atomic<std::uint64_t> version_{1};
    mutable Mutex mutex_;
    std::shared_ptr<const T> value_ GUARDED_BY(mutex_);
};

}  // namespace hearth::server
