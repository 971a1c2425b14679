#pragma once

#include <filesystem>
#include <optional>
#include <string_view>

namespace hearth::runtime {

// CPU limit in cores of the cgroup the process is in, or nullopt when there is none. `root` is
// where cgroups are mounted (/sys/fs/cgroup) and `membership` the text of /proc/self/cgroup. The
// tightest limit on the way to the root counts. Source: cgroup-v2.rst (cpu.max), sched-bwc.rst
// (cpu.cfs_*).
std::optional<double> cgroup_cpu_limit(const std::filesystem::path& root,
                                       std::string_view membership);

}  // namespace hearth::runtime
