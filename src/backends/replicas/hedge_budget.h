#pragma once

#include <atomic>
#include <cstdint>

namespace hearth::replicas {

// How many of a model's calls may be made twice: one in kCallsPerHedge, and kBurst at once where
// there were none for a while. Servers that are slow because they have too much to do get a tenth
// more, not twice as much. Thread-safe.
class HedgeBudget {
  public:
    static constexpr std::int64_t kCallsPerHedge = 10;
    static constexpr std::int64_t kBurst = 10;

    // A call that may be made twice.
    void note_call();
    // False: none is left.
    bool take();

  private:
    static constexpr std::int64_t kMax = kBurst * kCallsPerHedge;
    std::atomic<std::int64_t> calls_{kMax};  // that no hedge was made for
};

}  // namespace hearth::replicas
