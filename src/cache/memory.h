#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "cache/entry.h"
#include "cache/eviction.h"
#include "cache/key.h"

namespace hearth::cache {

// The first level: answers in this process's memory. Thread-safe: parts of it have locks of their
// own, held for some hundred nanoseconds.
class Memory {
  public:
    struct Stats {
        std::size_t entries = 0;
        std::size_t bytes = 0;  // of Entry::weight()
        std::uint64_t inserted = 0;
        std::uint64_t evicted = 0;  // for others to have room
        std::uint64_t refused = 0;  // larger than a part
    };

    // `bytes_max` bounds the sum of Entry::weight(), shared evenly by the parts. 0: keeps nothing.
    explicit Memory(std::size_t bytes_max, Algorithm algorithm = Algorithm::S3Fifo,
                    std::size_t parts = 16);
    ~Memory();
    Memory(const Memory&) = delete;
    Memory& operator=(const Memory&) = delete;

    // nullptr: nothing, or what there is has expired, and is gone.
    EntryPtr find(const Key& key, Moment when);
    // Takes the place of what is under that key.
    void insert(const Key& key, EntryPtr entry);
    bool erase(const Key& key);
    // Returns how many there were. Takes one part's lock after the other.
    std::size_t erase_if(const std::function<bool(const Key&, const Entry&)>& is_meant);
    // For listings. `see` must not call back.
    void visit(const std::function<void(const Key&, const Entry&)>& see) const;
    Stats stats() const;
    std::size_t entries() const { return totals_.entries.load(std::memory_order_relaxed); }
    std::size_t bytes() const { return totals_.bytes.load(std::memory_order_relaxed); }

  private:
    struct Part;
    Part& part_of(const Key& key) const;

    // Of all parts, to be read without their locks.
    struct Totals {
        std::atomic<std::size_t> entries = 0;
        std::atomic<std::size_t> bytes = 0;
    };
    Totals totals_;
    std::vector<std::unique_ptr<Part>> parts_;
};

}  // namespace hearth::cache
