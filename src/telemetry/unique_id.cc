#include "telemetry/unique_id.h"

#include <atomic>
#include <cstdint>
#include <random>

namespace hearth {
namespace {

constexpr std::string_view kDigits = "0123456789abcdef";

// Every answer has one: written by hand, it costs a tenth of what a formatter takes for it.
void append_hex(std::string& out, std::uint64_t value, int digits) {
    for (int shift = 4 * (digits - 1); shift >= 0; shift -= 4) {
        out += kDigits[value >> shift & 15U];
    }
}

}  // namespace

std::string unique_id(std::string_view prefix) {
    static const std::uint32_t process = std::random_device()();
    static std::atomic<std::uint64_t> count = 0;
    std::string id;
    id.reserve(prefix.size() + 18);
    id.append(prefix);
    append_hex(id, process, 8);
    append_hex(id, count.fetch_add(1, std::memory_order_relaxed), 10);
    return id;
}

}  // namespace hearth
