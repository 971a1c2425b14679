#include "telemetry/unique_id.h"

#include <atomic>
#include <cstdint>
#include <random>

namespace hearth {
namespace {

constexpr std::string_view kDigits = "0123456789abcdef";

// Every answer has one: written by hand, it costs a tenth of what a formatter takes for it.
void write_hex(char* end, std::uint64_t value, int digits) {
    for (int i = 0; i < digits; ++i, value >>= 4U) *--end = kDigits[value & 15U];
}

}  // namespace

std::string unique_id(std::string_view prefix) {
    static const std::uint32_t process = std::random_device()();
    static std::atomic<std::uint64_t> count = 0;
    char digits[18];
    write_hex(digits + 8, process, 8);
    write_hex(digits + 18, count.fetch_add(1, std::memory_order_relaxed), 10);
    std::string id;
    id.reserve(prefix.size() + sizeof(digits));
    return id.append(prefix).append(digits, sizeof(digits));
}

}  // namespace hearth
