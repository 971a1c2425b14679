#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <thread>
#include <vector>

namespace hearth::encoder {

// Meets `size` threads again and again. Spins briefly, then sleeps. Thread-safe.
class Barrier {
  public:
    explicit Barrier(std::size_t size) : size_(size), missing_(size) {}
    void wait();

  private:
    const std::size_t size_;
    std::atomic<std::size_t> missing_;
    std::atomic<std::uint32_t> round_{0};
};

// Threads that work on one batch together: the caller of run() is number 0, the others are ours.
// One run at a time.
class Team {
  public:
    using Work = void (*)(void* state, std::size_t thread);

    explicit Team(std::size_t threads);
    ~Team();
    Team(const Team&) = delete;
    Team& operator=(const Team&) = delete;

    std::size_t size() const { return threads_.size() + 1; }
    // Calls work(state, i) on every thread and returns when all have finished.
    void run(Work work, void* state);
    // For the work to meet inside a run.
    Barrier& barrier() { return barrier_; }

  private:
    void serve(std::size_t thread);

    Barrier barrier_;
    std::atomic<std::uint32_t> runs_{0};
    bool stopping_ = false;  // written before runs_
    Work work_ = nullptr;    // both written before runs_
    void* state_ = nullptr;
    std::vector<std::jthread> threads_;
};

}  // namespace hearth::encoder
