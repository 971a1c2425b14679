#include "cli/output.h"

#include <algorithm>
#include <array>
#include <cstdio>

#include "base/format.h"
#include "cli/commands.h"

namespace hearth::cli {

int report(const Result<void>& result) {
    if (result) return kOk;
    std::fprintf(stderr, "hearth: %s\n", result.error().message.c_str());
    return result.error().code == Code::InvalidArgument ? kUsage : kFailed;
}

void print_table(const std::vector<std::vector<std::string>>& rows) {
    std::vector<std::size_t> widths;
    for (const auto& row : rows) {
        widths.resize(std::max(widths.size(), row.size()));
        for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
    }
    for (const auto& row : rows) {
        std::string line;
        for (std::size_t i = 0; i < row.size(); ++i) line += format("{:<{}}  ", row[i], widths[i]);
        while (line.ends_with(' ')) line.pop_back();
        std::puts(line.c_str());
    }
}

std::string print_bytes(std::uint64_t bytes) {
    constexpr std::array kUnits = {"B", "kB", "MB", "GB", "TB"};
    double value = static_cast<double>(bytes);
    std::size_t unit = 0;
    for (; value >= 1000 && unit + 1 < kUnits.size(); ++unit) value /= 1000;
    return unit == 0 ? format("{} B", bytes) : format("{:.1f} {}", value, kUnits[unit]);
}

}  // namespace hearth::cli
