#include "encoder/cpu.h"

#include <sched.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <string>
#include <thread>

#if defined(__x86_64__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace hearth::encoder {
namespace {

#if defined(__x86_64__)
bool tile_registers_granted() {
    constexpr long kRequestPermission = 0x1023;  // ARCH_REQ_XCOMP_PERM
    constexpr long kTileData = 18;               // XFEATURE_XTILEDATA
    return ::syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
}

CpuFeatures detect() {
    CpuFeatures found;
    __builtin_cpu_init();
    found.avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    found.avx512 = found.avx2 && __builtin_cpu_supports("avx512f") &&
                   __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
                   __builtin_cpu_supports("avx512vl");
    found.avx512_vnni = found.avx512 && __builtin_cpu_supports("avx512vnni");
    unsigned a = 0;
    unsigned b = 0;
    unsigned c = 0;
    unsigned d = 0;
    if (__get_cpuid_count(7, 1, &a, &b, &c, &d) != 0) {
        found.avx_vnni = found.avx2 && (a & (1U << 4)) != 0;
    }
    if (__get_cpuid_count(7, 0, &a, &b, &c, &d) != 0 && (d & (1U << 24)) != 0 &&
        found.avx512_vnni && tile_registers_granted()) {
        found.amx_int8 = (d & (1U << 25)) != 0;
        found.amx_bf16 = (d & (1U << 22)) != 0;
    }
    return found;
}
#else
CpuFeatures detect() { return {}; }
#endif

// Whole CPUs of a quota; partial ones round up, because the rest is better used than left.
std::size_t quota_cpus(double quota_us, double period_us) {
    if (quota_us <= 0 || period_us <= 0) return 0;
    return std::max<std::size_t>(1, static_cast<std::size_t>(std::ceil(quota_us / period_us)));
}

// The control group's own path below `mount`, from /proc/self/cgroup.
std::string control_group_path() {
    std::ifstream file("/proc/self/cgroup");
    std::string line;
    while (std::getline(file, line)) {
        if (line.starts_with("0::")) return line.substr(3);
    }
    return "/";
}

// The smallest quota of the group and its ancestors; 0: none.
std::size_t control_group_cpus() {
    std::size_t least = 0;
    const auto take = [&least](std::size_t cpus) {
        if (cpus > 0) least = least == 0 ? cpus : std::min(least, cpus);
    };
    std::string path = control_group_path();
    for (int depth = 0; depth < 32; ++depth) {
        std::ifstream file("/sys/fs/cgroup" + path + "/cpu.max");
        std::string quota;
        double period = 0;
        if (file >> quota >> period && quota != "max") {
            take(quota_cpus(std::strtod(quota.c_str(), nullptr), period));
        }
        const auto slash = path.rfind('/');
        if (path.size() <= 1 || slash == std::string::npos) break;
        path.resize(slash);
    }
    std::ifstream quota_file("/sys/fs/cgroup/cpu/cpu.cfs_quota_us");
    std::ifstream period_file("/sys/fs/cgroup/cpu/cpu.cfs_period_us");
    double quota = 0;
    double period = 0;
    if (quota_file >> quota && period_file >> period) take(quota_cpus(quota, period));
    return least;
}

}  // namespace

const CpuFeatures& cpu_features() {
    static const CpuFeatures found = detect();
    return found;
}

std::size_t usable_cpus() {
    std::size_t cpus = std::max(1U, std::thread::hardware_concurrency());
    cpu_set_t mask;
    CPU_ZERO(&mask);
    if (::sched_getaffinity(0, sizeof(mask), &mask) == 0) {
        cpus = std::max(1, CPU_COUNT(&mask));
    }
    const std::size_t quota = control_group_cpus();
    return quota == 0 ? cpus : std::min(cpus, quota);
}

}  // namespace hearth::encoder
