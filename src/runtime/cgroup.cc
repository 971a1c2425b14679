#include "runtime/cgroup.h"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <sstream>
#include <string>
#include <thread>

#include "runtime/shard.h"

namespace hearth::runtime {
namespace {

std::string read_text(const std::filesystem::path& path) {
    std::ifstream file(path);
    std::ostringstream text;
    text << file.rdbuf();
    return std::move(text).str();
}

std::optional<double> ratio(double quota, double period) {
    if (quota <= 0 || period <= 0) return std::nullopt;
    return quota / period;
}

std::optional<double> v2_limit(const std::filesystem::path& group) {
    std::istringstream text(read_text(group / "cpu.max"));
    double quota = 0;
    double period = 0;
    if (!(text >> quota >> period)) return std::nullopt;  // "max 100000": no limit
    return ratio(quota, period);
}

std::optional<double> v1_limit(const std::filesystem::path& group) {
    std::istringstream quota_text(read_text(group / "cpu.cfs_quota_us"));
    std::istringstream period_text(read_text(group / "cpu.cfs_period_us"));
    double quota = 0;
    double period = 0;
    if (!(quota_text >> quota) || !(period_text >> period)) return std::nullopt;
    return ratio(quota, period);
}

// One number; "max" is none, and version 1 writes "no limit" as a number beyond all memory.
std::optional<double> number_in(const std::filesystem::path& file) {
    constexpr double kUnlimited = 1e18;
    std::istringstream text(read_text(file));
    double value = 0;
    if (!(text >> value) || value <= 0 || value > kUnlimited) return std::nullopt;
    return value;
}

std::optional<double> v2_memory(const std::filesystem::path& group) {
    return number_in(group / "memory.max");
}

std::optional<double> v1_memory(const std::filesystem::path& group) {
    return number_in(group / "memory.limit_in_bytes");
}

using Limit = std::optional<double> (*)(const std::filesystem::path&);

// What the two versions call a controller's limit.
struct Controller {
    std::string_view name;
    Limit v1;
    Limit v2;
};

// The tightest limit between `group` and the mount. Inside a container the named group is often not
// visible; then only the mount's own limit is read.
std::optional<double> tightest(const std::filesystem::path& mount, std::string_view group,
                               Limit limit) {
    std::optional<double> found;
    auto consider = [&found](std::optional<double> value) {
        if (value && (!found || *value < *found)) found = value;
    };
    std::filesystem::path at = std::filesystem::path(group).relative_path();
    while (!at.empty()) {
        consider(limit(mount / at));
        at = at.parent_path();
    }
    consider(limit(mount));
    return found;
}

bool lists(std::string_view controllers, std::string_view name) {
    while (!controllers.empty()) {
        const std::size_t comma = std::min(controllers.find(','), controllers.size());
        if (controllers.substr(0, comma) == name) return true;
        controllers.remove_prefix(std::min(comma + 1, controllers.size()));
    }
    return false;
}

std::size_t affinity() {
    cpu_set_t set;
    CPU_ZERO(&set);
    if (sched_getaffinity(0, sizeof set, &set) == 0) return std::size_t(CPU_COUNT(&set));
    return std::max(1U, std::thread::hardware_concurrency());
}

std::optional<double> find_limit(const std::filesystem::path& root, std::string_view membership,
                                 const Controller& controller) {
    std::optional<double> found;
    auto consider = [&found](std::optional<double> value) {
        if (value && (!found || *value < *found)) found = value;
    };
    while (!membership.empty()) {
        const std::size_t end = std::min(membership.find('\n'), membership.size());
        const std::string_view line = membership.substr(0, end);
        membership.remove_prefix(std::min(end + 1, membership.size()));
        const std::size_t first = line.find(':');
        if (first == std::string_view::npos) continue;
        const std::size_t second = line.find(':', first + 1);
        if (second == std::string_view::npos) continue;
        const std::string_view controllers = line.substr(first + 1, second - first - 1);
        const std::string_view group = line.substr(second + 1);
        if (controllers.empty()) {
            consider(tightest(root, group, controller.v2));
        } else if (lists(controllers, controller.name)) {
            consider(tightest(root / std::string(controllers), group, controller.v1));
            consider(tightest(root / controller.name, group, controller.v1));
        }
    }
    return found;
}

}  // namespace

std::optional<double> cgroup_cpu_limit(const std::filesystem::path& root,
                                       std::string_view membership) {
    return find_limit(root, membership, {.name = "cpu", .v1 = v1_limit, .v2 = v2_limit});
}

std::optional<double> cgroup_memory_limit(const std::filesystem::path& root,
                                          std::string_view membership) {
    return find_limit(root, membership, {.name = "memory", .v1 = v1_memory, .v2 = v2_memory});
}

std::uint64_t usable_memory() {
    const auto pages = static_cast<std::uint64_t>(std::max(0L, ::sysconf(_SC_PHYS_PAGES)));
    const auto machine = pages * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
    const auto limit = cgroup_memory_limit("/sys/fs/cgroup", read_text("/proc/self/cgroup"));
    if (!limit) return machine;
    return std::min(machine, static_cast<std::uint64_t>(*limit));
}

std::size_t cpu_quota() {
    const std::size_t cores = affinity();
    const auto limit = cgroup_cpu_limit("/sys/fs/cgroup", read_text("/proc/self/cgroup"));
    if (!limit) return std::max<std::size_t>(1, cores);
    const auto whole = std::size_t(std::ceil(std::min(*limit, double(cores))));
    return std::max<std::size_t>(1, whole);
}

}  // namespace hearth::runtime
