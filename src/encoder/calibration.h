#pragma once

#include <chrono>
#include <cstddef>

#include "encoder/forward.h"

namespace hearth::encoder {

struct Arrangement {
    std::size_t sessions = 1;
    std::size_t threads = 1;  // per session
};

// The most tokens per second for `cpus_max` CPUs, by trying: sessions x threads never exceeds it. A
// value given (not 0) is kept. Takes at most about `time_max`.
Arrangement calibrate(const Forward& forward, Arrangement given, std::size_t cpus_max,
                      std::chrono::milliseconds time_max);

}  // namespace hearth::encoder
