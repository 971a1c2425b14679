#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace hearth::worker {

// Bytes by device: "host", and accelerators as llama.cpp names them ("CUDA0").
using DeviceBytes = std::map<std::string, std::uint64_t>;
inline constexpr std::uint64_t kMib = 1 << 20;
std::uint64_t sum_of(const DeviceBytes& bytes);
std::uint64_t at(const DeviceBytes& bytes, const std::string& device);

// A model that could leave memory.
struct Candidate {
    const DeviceBytes* bytes = nullptr;
    std::chrono::duration<double> reload_time{0};
    std::optional<std::chrono::duration<double>> idle;  // absent: in use
};

// Which of them leave so that `missing` becomes free: the least valuable, where the value of a byte
// is the time to load it again over the time it was not used; one in use is worth more than any
// that is not; and none leaves without need. Empty when even all of them are not enough.
std::vector<std::size_t> choose_victims(std::span<const Candidate> candidates,
                                        const DeviceBytes& missing);

}  // namespace hearth::worker
