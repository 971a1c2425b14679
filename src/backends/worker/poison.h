#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstring>
#include <list>
#include <string_view>
#include <unordered_map>

namespace hearth::worker {

// What one request is, whoever sends it: the front of the SHA-256 of its content.
struct Fingerprint {
    std::array<std::byte, 16> bytes{};
    bool operator==(const Fingerprint&) const = default;
};
Fingerprint fingerprint_of(std::string_view content);

// Remembers which requests were in a worker when it died. Not thread-safe, no clock of its own.
// Bounds: entries_max, the one blamed longest ago goes first; an entry expires `memory` after its
// last death.
class PoisonTable {
  public:
    using Time = std::chrono::steady_clock::time_point;

    PoisonTable(std::size_t entries_max, std::chrono::steady_clock::duration memory)
        : entries_max_(entries_max), memory_(memory) {}

    // How many deaths it was in. 1: a suspect, to be run alone. 2 or more: poison.
    std::size_t deaths(const Fingerprint& request, Time now) const;
    void blame(const Fingerprint& request, Time now);
    void clear(const Fingerprint& request);
    std::size_t size() const { return entries_.size(); }
    bool empty() const { return entries_.empty(); }

  private:
    struct Entry {
        Fingerprint request;
        std::size_t deaths = 0;
        Time last{};
    };
    struct Hash {
        std::size_t operator()(const Fingerprint& request) const {
            std::size_t value = 0;
            std::memcpy(&value, request.bytes.data(), sizeof(value));
            return value;
        }
    };

    const std::size_t entries_max_;
    const std::chrono::steady_clock::duration memory_;
    std::list<Entry> entries_;  // blamed longest ago first
    std::unordered_map<Fingerprint, std::list<Entry>::iterator, Hash> index_;
};

}  // namespace hearth::worker
