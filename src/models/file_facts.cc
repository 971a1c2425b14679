#include "models/file_facts.h"

#include <algorithm>
#include <chrono>

namespace hearth::models {
namespace {

constexpr std::size_t kSamples = 16;
constexpr std::size_t kSampleBytes = 4096;

}  // namespace

void hash_sampled(Sha256& hash, std::span<const std::byte> bytes, std::size_t data_offset) {
    hash.update(bytes.first(data_offset));
    const std::span<const std::byte> data = bytes.subspan(data_offset);
    for (std::size_t i = 0; i < kSamples; ++i) {
        const std::size_t at = data.size() / kSamples * i;
        hash.update(data.subspan(at, std::min(kSampleBytes, data.size() - at)));
    }
}

std::int64_t modified_unix_ns(const std::filesystem::path& file) {
    std::error_code error;
    const auto time = std::filesystem::last_write_time(file, error);
    if (error) return 0;
    const auto system = std::chrono::file_clock::to_sys(time);
    return std::chrono::duration_cast<std::chrono::nanoseconds>(system.time_since_epoch()).count();
}

}  // namespace hearth::models
