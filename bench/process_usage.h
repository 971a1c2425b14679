#pragma once

#include <cstdint>

namespace hearth::bench {

// User and system CPU seconds of a process and all its descendants now alive, from /proc. 0 when
// gone.
double tree_cpu_seconds(int pid);

// The same of this process.
double own_cpu_seconds();

// Resident bytes of a process and all its descendants, from /proc.
std::uint64_t tree_resident_bytes(int pid);

}  // namespace hearth::bench
