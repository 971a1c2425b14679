#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/thread_safety.h"
#include "cache/entry.h"
#include "cache/policy.h"

namespace hearth::cache {

// Which answers are meant. What is not set means all.
struct Filter {
    std::optional<Space> space = {};
    std::string model = {};
    std::string tenant = {};

    bool matches(const Entry& entry) const;
};

// Every clear there has been. An answer whose making began before a clear that means it is dead,
// wherever it still lies and whenever it is put somewhere. Thread-safe.
class Clears {
  public:
    // Clears that are told apart; with one more, all of them become one of everything.
    static constexpr std::size_t kFiltersMax = 64;

    // How many there have been: what Entry::clears is set to before an answer is made.
    std::uint64_t count() const { return count_.load(std::memory_order_acquire); }
    void add(Filter filter) EXCLUDES(mutex_);
    bool has_killed(const Entry& entry) const EXCLUDES(mutex_);

  private:
    std::atomic<std::uint64_t> count_ = 0;
    mutable Mutex mutex_;
    std::vector<std::pair<std::uint64_t, Filter>> filters_ GUARDED_BY(mutex_);  // by their number
};

}  // namespace hearth::cache
