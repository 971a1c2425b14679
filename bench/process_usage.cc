#include "process_usage.h"

#include <sys/resource.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>
#include <string>
#include <vector>

namespace hearth::bench {
namespace {

struct Usage {
    int parent = 0;
    double cpu_seconds = 0;
    std::uint64_t resident_bytes = 0;
};

// Fields of /proc/PID/stat, see proc(5): 4 is ppid, 14 utime, 15 stime, 24 rss in pages.
bool read_usage(const std::string& pid, Usage& usage) {
    std::ifstream file("/proc/" + pid + "/stat");
    std::string line;
    if (!std::getline(file, line)) return false;
    const std::size_t name_end = line.rfind(')');
    if (name_end == std::string::npos) return false;
    std::istringstream fields(line.substr(name_end + 2));
    std::vector<std::string> values;  // values[0] is field 3
    for (std::string value; fields >> value;) values.push_back(value);
    if (values.size() < 22) return false;
    const auto ticks = static_cast<double>(::sysconf(_SC_CLK_TCK));
    usage.parent = std::stoi(values[1]);
    usage.cpu_seconds =
        static_cast<double>(std::stoull(values[11]) + std::stoull(values[12])) / ticks;
    usage.resident_bytes =
        std::stoull(values[21]) * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
    return true;
}

std::vector<Usage> read_tree(int root) {
    std::map<int, Usage> all;
    for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
        const std::string name = entry.path().filename();
        Usage usage;
        if (name.find_first_not_of("0123456789") == std::string::npos && read_usage(name, usage))
            all.emplace(std::stoi(name), usage);
    }
    std::vector<Usage> tree;
    for (const auto& [pid, usage] : all) {
        int ancestor = pid;
        while (ancestor > 1 && ancestor != root && all.contains(ancestor))
            ancestor = all[ancestor].parent;
        if (ancestor == root) tree.push_back(usage);
    }
    return tree;
}

}  // namespace

double tree_cpu_seconds(int pid) {
    double sum = 0;
    for (const Usage& usage : read_tree(pid)) sum += usage.cpu_seconds;
    return sum;
}

std::uint64_t tree_resident_bytes(int pid) {
    std::uint64_t sum = 0;
    for (const Usage& usage : read_tree(pid)) sum += usage.resident_bytes;
    return sum;
}

double own_cpu_seconds() {
    rusage usage{};
    ::getrusage(RUSAGE_SELF, &usage);
    const auto seconds = [](const timeval& t) {
        return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6;
    };
    return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

}  // namespace hearth::bench
