#include "backends/worker/worker_end.h"

#include <signal.h>

#include <algorithm>
#include <array>

#include "base/format.h"

namespace hearth::worker {

std::string_view to_string(End end) {
    switch (end) {
        case End::Exited: return "exited";
        case End::Retired: return "retired";
        case End::NeverReady: return "never-ready";
        case End::Silent: return "silent";
        case End::Hung: return "hung";
    }
    return "unknown";
}

std::string describe(const runtime::ExitStatus& status) {
    if (status.signal != 0) return format("killed by signal {}", status.signal);
    return format("exited with code {}", status.code);
}

std::string_view advice_after(End end, const std::optional<runtime::ExitStatus>& status,
                              std::string_view last_line) {
    constexpr std::array<std::string_view, 6> kWords = {"unable to allocate", "failed to allocate",
                                                        "out of memory",      "bad_alloc",
                                                        "mem_buffer",         "Cannot allocate"};
    const bool told = std::ranges::any_of(
        kWords, [&](std::string_view word) { return last_line.contains(word); });
    const bool killed = end == End::Exited && status && status->signal == SIGKILL;
    if (!told && !killed) return {};
    return "; memory may have run out: a smaller model or context needs less, and so do fewer "
           "answers "
           "at a time";
}

}  // namespace hearth::worker
