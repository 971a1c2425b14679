#include "runtime/cpu_quota.h"

#include <sched.h>

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

using Limit = std::optional<double> (*)(const std::filesystem::path&);

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

bool lists_cpu(std::string_view controllers) {
    while (!controllers.empty()) {
        const std::size_t comma = std::min(controllers.find(','), controllers.size());
        if (controllers.substr(0, comma) == "cpu") return true;
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

}  // namespace

std::optional<double> cgroup_cpu_limit(const std::filesystem::path& root,
                                       std::string_view membership) {
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
            consider(tightest(root, group, v2_limit));
        } else if (lists_cpu(controllers)) {
            consider(tightest(root / std::string(controllers), group, v1_limit));
            consider(tightest(root / "cpu", group, v1_limit));
        }
    }
    return found;
}

std::size_t cpu_quota() {
    const std::size_t cores = affinity();
    const auto limit = cgroup_cpu_limit("/sys/fs/cgroup", read_text("/proc/self/cgroup"));
    if (!limit) return std::max<std::size_t>(1, cores);
    const auto whole = std::size_t(std::ceil(std::min(*limit, double(cores))));
    return std::max<std::size_t>(1, whole);
}

}  // namespace hearth::runtime
