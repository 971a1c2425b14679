#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/error.h"

namespace hearth::cache {

// Of wall clocks, which several gateways share: milliseconds since 1970.
using Moment = std::chrono::sys_time<std::chrono::milliseconds>;

inline Moment now() {
    return std::chrono::time_point_cast<std::chrono::milliseconds>(
        std::chrono::system_clock::now());
}

// An answer that is kept. Immutable once it is in a level; shared by all who read it.
struct Entry {
    std::string space;    // "embedding", "chat": what kind it is, and what it can be cleared by
    std::string model;    // whose answer it is, by the name callers know
    std::string tenant;   // whose it may be; empty: everybody's
    std::string payload;  // as its kind writes it; may be empty, which is not the same as absent
    Moment created;
    Moment expires;                    // at every level the same: copies do not live longer
    std::chrono::microseconds took{};  // what computing it took, and a hit saves
    std::uint64_t clears = 0;          // how many clears there had been when its making began

    // Bytes it takes in memory, about.
    std::size_t weight() const {
        return sizeof *this + kOverhead + space.size() + model.size() + tenant.size() +
               payload.size();
    }
    // Its node, the table's slot and the allocator's own.
    static constexpr std::size_t kOverhead = 160;
};
using EntryPtr = std::shared_ptr<const Entry>;

// The one form in which entries leave the process: a head with magic, version and lengths, the
// fields, the payload (by zstd where it is kCompressedMin or more and that pays) and a checksum
// over all of it. Little-endian. Source: entry.cc.
inline constexpr std::size_t kCompressedMin = 1024;
inline constexpr std::size_t kPayloadMax = 64 << 20;

std::string encode(const Entry& entry);
// Errors: BadUpstream, for whatever encode() has not written or a newer version has: torn, altered,
// too long. Never reads beyond `bytes` and never reserves more than kPayloadMax.
Result<Entry> decode(std::string_view bytes);

}  // namespace hearth::cache
