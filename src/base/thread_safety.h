#pragma once

#include <mutex>

// Clang's thread-safety analysis needs an annotated mutex: libstdc++'s carries no annotations.
#if defined(__clang__)
#define HEARTH_TSA(x) __attribute__((x))
#else
#define HEARTH_TSA(x)
#endif
#define GUARDED_BY(mutex) HEARTH_TSA(guarded_by(mutex))
#define REQUIRES(mutex) HEARTH_TSA(requires_capability(mutex))
#define EXCLUDES(mutex) HEARTH_TSA(locks_excluded(mutex))

namespace hearth {

class HEARTH_TSA(capability("mutex")) Mutex {
  public:
    void lock() HEARTH_TSA(acquire_capability()) { mutex_.lock(); }
    void unlock() HEARTH_TSA(release_capability()) { mutex_.unlock(); }

  private:
    std::mutex mutex_;
};

class HEARTH_TSA(scoped_lockable) MutexLock {
  public:
    explicit MutexLock(Mutex& mutex) HEARTH_TSA(acquire_capability(mutex)) : mutex_(mutex) {
        mutex_.lock();
    }
    ~MutexLock() HEARTH_TSA(release_capability()) { mutex_.unlock(); }
    MutexLock(const MutexLock&) = delete;
    MutexLock& operator=(const MutexLock&) = delete;

  private:
    Mutex& mutex_;
};

}  // namespace hearth
