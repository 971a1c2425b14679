#include "backends/replicas/hedge_budget.h"

namespace hearth::replicas {

void HedgeBudget::note_call() {
    std::int64_t calls = calls_.load(std::memory_order_relaxed);
    while (calls < kMax &&
           !calls_.compare_exchange_weak(calls, calls + 1, std::memory_order_relaxed)) {
    }
}

bool HedgeBudget::take() {
    std::int64_t calls = calls_.load(std::memory_order_relaxed);
    while (calls >= kCallsPerHedge) {
        if (calls_.compare_exchange_weak(calls, calls - kCallsPerHedge,
                                         std::memory_order_relaxed)) {
            return true;
        }
    }
    return false;
}

}  // namespace hearth::replicas
