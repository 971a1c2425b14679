#include "encoder/team.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace hearth::encoder {
namespace {

constexpr int kSpins = 4096;

void pause_briefly() {
#if defined(__x86_64__)
    _mm_pause();
#elif defined(__aarch64__)
    asm volatile("yield");
#endif
}

// Until `counter` leaves `old`: phases are short, so sleeping at once would cost more than it
// saves.
void wait_for_change(const std::atomic<std::uint32_t>& counter, std::uint32_t old) {
    for (int spin = 0; spin < kSpins; ++spin) {
        if (counter.load(std::memory_order_acquire) != old) return;
        pause_briefly();
    }
    counter.wait(old, std::memory_order_acquire);
}

}  // namespace

void Barrier::wait() {
    if (size_ == 1) return;
    const std::uint32_t round = round_.load(std::memory_order_acquire);
    if (missing_.fetch_sub(1, std::memory_order_acq_rel) == 1) {
        missing_.store(size_, std::memory_order_relaxed);
        round_.fetch_add(1, std::memory_order_release);
        round_.notify_all();
        return;
    }
    wait_for_change(round_, round);
}

Team::Team(std::size_t threads) : barrier_(threads) {
    for (std::size_t i = 1; i < threads; ++i) {
        threads_.emplace_back([this, i] { serve(i); });
    }
}

Team::~Team() {
    stopping_ = true;
    runs_.fetch_add(1, std::memory_order_release);
    runs_.notify_all();
}

void Team::run(Work work, void* state) {
    work_ = work;
    state_ = state;
    if (!threads_.empty()) {
        runs_.fetch_add(1, std::memory_order_release);
        runs_.notify_all();
    }
    work(state, 0);
    barrier_.wait();
}

void Team::serve(std::size_t thread) {
    std::uint32_t seen = 0;
    while (true) {
        wait_for_change(runs_, seen);
        ++seen;
        if (stopping_) return;
        work_(state_, thread);
        barrier_.wait();
    }
}

}  // namespace hearth::encoder
