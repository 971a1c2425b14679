#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string_view>

namespace hearth::runtime {

// Limits of the cgroup the process is in, or nullopt when there is none. `root` is where cgroups
// are mounted (/sys/fs/cgroup) and `membership` the text of /proc/self/cgroup. The tightest limit
// on the way to the root counts. In cores. Source: cgroup-v2.rst (cpu.max), sched-bwc.rst
// (cpu.cfs_*).
std::optional<double> cgroup_cpu_limit(const std::filesystem::path& root,
                                       std::string_view membership);
// In bytes. Source: cgroup-v2.rst (memory.max), memory.rst (memory.limit_in_bytes).
std::optional<double> cgroup_memory_limit(const std::filesystem::path& root,
                                          std::string_view membership);

// Bytes of memory this process may use: the machine's, or its cgroup's limit where that is less.
std::uint64_t usable_memory();

}  // namespace hearth::runtime
