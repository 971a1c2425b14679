#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "cache/clears.h"
#include "cache/entry.h"
#include "cache/key.h"
#include "cache/memory.h"
#include "cache/policy.h"
#include "telemetry/metrics.h"

namespace hearth::cache {

struct AnswersOptions {
    std::size_t memory_bytes_max = 0;
    Lives lives;
};

// An answer that was found.
struct Found {
    EntryPtr entry;
    std::string_view level;  // "l1"
};

// The levels of the cache and their order. Thread-safe.
class Answers {
  public:
    // The registry must outlive it.
    Answers(AnswersOptions options, metrics::Registry& registry);
    ~Answers();
    Answers(const Answers&) = delete;
    Answers& operator=(const Answers&) = delete;

    // One look-up, however many levels are asked, counts once: as a hit of the level that had it or
    // as a miss.
    std::optional<Found> find(Space space, const Key& key);

    // An answer that is about to be made.
    struct Making {
        Space space;
        Key key;
        std::string model;
        std::string tenant;
        std::optional<std::chrono::milliseconds> life;  // instead of the kind's
        std::uint64_t clears;                           // clears() before it began
    };
    std::uint64_t clears() const { return clears_.count(); }
    // Keeps it, unless it is too large for a level or a clear has overtaken it.
    void keep(Making making, std::string payload, std::chrono::microseconds took);

    // Returns how many answers are gone.
    std::size_t clear(Filter filter);
    // Takes out what has expired. Returns how many.
    std::size_t prune();

    struct SpaceStats {
        Space space = Space::Embedding;
        std::uint64_t hits = 0;
        std::uint64_t misses = 0;
        std::size_t entries = 0;
        std::size_t bytes = 0;
        std::chrono::microseconds saved{};  // of making what was found
    };
    struct Stats {
        std::array<SpaceStats, kSpaces.size()> spaces;
        Memory::Stats memory;
        std::size_t memory_bytes_max = 0;
    };
    // Walks over everything in memory.
    Stats stats() const;

  private:
    struct Counters {
        metrics::Counter hits;
        metrics::Counter misses;
        metrics::Counter saved_seconds;
    };
    static Counters counters_of(metrics::Registry& registry, Space space);
    void note_size();
    const Counters& counters(Space space) const { return counters_[std::size_t(space)]; }

    const AnswersOptions options_;
    Clears clears_;
    Memory memory_;
    std::array<Counters, kSpaces.size()> counters_;
    metrics::Gauge entries_;
    metrics::Gauge bytes_;
};

}  // namespace hearth::cache
