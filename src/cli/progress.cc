#include "cli/progress.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "base/format.h"
#include "cli/output.h"

namespace hearth::cli {
namespace {

constexpr std::size_t kWidth = 30;
constexpr std::chrono::milliseconds kRedraw{100};

}  // namespace

Progress::Progress(std::string label, std::size_t total, Unit unit)
    : label_(std::move(label)),
      total_(std::max<std::size_t>(total, 1)),
      unit_(unit),
      terminal_(isatty(STDERR_FILENO) == 1),
      start_(std::chrono::steady_clock::now()),
      drawn_(start_ - kRedraw) {}

Progress::~Progress() {
    if (terminal_) std::fputs("\r\033[K", stderr);
}

void Progress::update(std::size_t done) {
    const auto now = std::chrono::steady_clock::now();
    if (unit_ == Unit::Bytes && !first_) first_ = done;
    if (!terminal_ || (done < total_ && now - drawn_ < kRedraw)) return;
    drawn_ = now;
    const double seconds = std::chrono::duration<double>(now - start_).count();
    const std::size_t filled = std::min(done, total_) * kWidth / total_;
    const std::size_t counted = done - std::min(first_.value_or(0), done);
    const double rate = static_cast<double>(counted) / std::max(seconds, 1e-3);
    const std::string numbers = unit_ == Unit::Bytes
                                    ? format("{}/{} {}/s", print_bytes(done), print_bytes(total_),
                                             print_bytes(static_cast<std::uint64_t>(rate)))
                                    : format("{}/{} {:.0f}/s", done, total_, rate);
    const std::string line =
        format("\r{} [{:#<{}}{:.<{}}] {}\033[K", label_, "", filled, "", kWidth - filled, numbers);
    std::fputs(line.c_str(), stderr);
}

}  // namespace hearth::cli
