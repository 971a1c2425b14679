#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>

namespace hearth::worker {

// How long to wait before a start, by how many failed in a row before it. The first restart is at
// once: a single crash costs no more than the load. `random` in [0, 1) spreads the rest by a fifth
// either way.
inline std::chrono::milliseconds backoff(std::size_t failures, std::chrono::milliseconds first,
                                         std::chrono::milliseconds max, double random) {
    using std::chrono::milliseconds;
    if (failures <= 1) return milliseconds(0);
    const std::size_t doublings = std::min<std::size_t>(failures - 2, 20);
    const auto base = std::min<milliseconds>(max, first * (1LL << doublings));
    const double spread = 0.8 + 0.4 * random;
    return milliseconds(static_cast<long long>(static_cast<double>(base.count()) * spread));
}

}  // namespace hearth::worker
