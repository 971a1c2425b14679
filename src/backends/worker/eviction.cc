#include "backends/worker/eviction.h"

#include <algorithm>
#include <numeric>

namespace hearth::worker {
namespace {

double value_of(const Candidate& candidate) {
    const double reload = candidate.reload_time.count() + 0.01;
    const double idle = candidate.idle ? candidate.idle->count() : 0;
    const double per_byte = reload / (1 + idle) / static_cast<double>(sum_of(*candidate.bytes) + 1);
    return (candidate.idle ? 0 : 1e6) + per_byte;
}

DeviceBytes freed_by(std::span<const Candidate> candidates, std::span<const std::size_t> chosen,
                     std::size_t without) {
    DeviceBytes freed;
    for (const std::size_t index : chosen) {
        if (index == without) continue;
        for (const auto& [device, count] : *candidates[index].bytes) freed[device] += count;
    }
    return freed;
}

bool covers(const DeviceBytes& freed, const DeviceBytes& missing) {
    return std::ranges::all_of(missing,
                               [&](const auto& one) { return at(freed, one.first) >= one.second; });
}

}  // namespace

std::uint64_t sum_of(const DeviceBytes& bytes) {
    std::uint64_t sum = 0;
    for (const auto& [device, count] : bytes) sum += count;
    return sum;
}

std::uint64_t at(const DeviceBytes& bytes, const std::string& device) {
    const auto found = bytes.find(device);
    return found != bytes.end() ? found->second : 0;
}

std::vector<std::size_t> choose_victims(std::span<const Candidate> candidates,
                                        const DeviceBytes& missing) {
    std::vector<std::size_t> order(candidates.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::ranges::sort(order, {}, [&](std::size_t i) { return value_of(candidates[i]); });
    constexpr auto kNobody = static_cast<std::size_t>(-1);
    std::vector<std::size_t> chosen;
    for (const std::size_t index : order) {
        if (covers(freed_by(candidates, chosen, kNobody), missing)) break;
        const bool helps = std::ranges::any_of(
            missing, [&](const auto& one) { return at(*candidates[index].bytes, one.first) > 0; });
        if (helps) chosen.push_back(index);
    }
    if (!covers(freed_by(candidates, chosen, kNobody), missing)) return {};
    // The more valuable of them stay where the others are enough.
    for (std::size_t i = chosen.size(); i-- > 0;) {
        if (!covers(freed_by(candidates, chosen, chosen[i]), missing)) continue;
        chosen.erase(chosen.begin() + static_cast<std::ptrdiff_t>(i));
    }
    return chosen;
}

}  // namespace hearth::worker
