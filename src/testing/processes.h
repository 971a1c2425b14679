#pragma once

// For tests only: what the system says about a process.
#include <chrono>
#include <filesystem>
#include <fstream>
#include <functional>
#include <string>
#include <thread>

namespace hearth::testing {

// Gone, or a zombie that whoever inherited it has not reaped.
inline bool is_dead(int pid) {
    std::ifstream stat("/proc/" + std::to_string(pid) + "/stat");
    std::string line;
    if (!std::getline(stat, line)) return true;
    const std::size_t name_end = line.rfind(')');
    return name_end == std::string::npos || line.size() < name_end + 3 ||
           line[name_end + 2] == 'Z' || line[name_end + 2] == 'X';
}

// Asks again and again until the condition holds. False when it does not within `limit`.
inline bool eventually(const std::function<bool()>& condition,
                       std::chrono::steady_clock::duration limit = std::chrono::seconds(10)) {
    const auto end = std::chrono::steady_clock::now() + limit;
    while (!condition()) {
        if (std::chrono::steady_clock::now() >= end) return false;
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    return true;
}

}  // namespace hearth::testing
