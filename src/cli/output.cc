#include "cli/output.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <fstream>
#include <iostream>

#include "base/format.h"
#include "cli/commands.h"
#include "cli/interrupt.h"
#include "cli/terminal_text.h"

namespace hearth::cli {

int report(const Result<void>& result) {
    if (result) return kOk;
    std::fprintf(stderr, "hearth: %s\n", printable_line(result.error().message).c_str());
    return result.error().code == Code::InvalidArgument ? kUsage : kFailed;
}

int report_or_interrupt(const Result<void>& result) {
    if (!result && result.error().code == Code::Cancelled) end_by_interrupt();
    return report(result);
}

void print_table(std::vector<std::vector<std::string>> rows) {
    std::vector<std::size_t> widths;
    for (auto& row : rows) {
        for (auto& cell : row) cell = printable_line(cell);
    }
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

namespace {

constexpr std::size_t kInputBytesMax = 32 << 20;

Result<std::string> read_to_end(std::istream& stream, const std::string& name) {
    std::string text;
    char piece[64 << 10];
    while (stream.read(piece, sizeof(piece)) || stream.gcount() > 0) {
        text.append(piece, static_cast<std::size_t>(stream.gcount()));
        if (text.size() > kInputBytesMax) {
            return fail(Code::TooLarge, format("{} has over {} bytes", name, kInputBytesMax));
        }
    }
    if (stream.bad()) return fail(Code::NotFound, format("{} cannot be read", name));
    return text;
}

}  // namespace

Result<std::string> read_standard_input() { return read_to_end(std::cin, "standard input"); }

Result<std::string> read_whole_file(const std::filesystem::path& file) {
    std::ifstream stream(file, std::ios::binary);
    if (!stream) return fail(Code::NotFound, format("{} cannot be read", file.string()));
    return read_to_end(stream, file.string());
}

std::string print_bytes(std::uint64_t bytes) {
    constexpr std::array kUnits = {"B", "kB", "MB", "GB", "TB"};
    double value = static_cast<double>(bytes);
    std::size_t unit = 0;
    for (; value >= 1000 && unit + 1 < kUnits.size(); ++unit) value /= 1000;
    return unit == 0 ? format("{} B", bytes) : format("{:.1f} {}", value, kUnits[unit]);
}

}  // namespace hearth::cli
