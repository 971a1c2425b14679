#include "backends/worker/worker_end.h"

#include <gtest/gtest.h>
#include <signal.h>

namespace hearth::worker {
namespace {

using runtime::ExitStatus;

TEST(WorkerEnd, ALackOfMemoryIsToldWithWhatHelps) {
    const auto advised = [](End end, std::optional<ExitStatus> status, std::string_view line) {
        return advice_after(end, status, line).contains("memory may have run out");
    };
    const ExitStatus killed{.code = 0, .signal = SIGKILL};
    EXPECT_TRUE(advised(End::Exited, killed, ""));
    EXPECT_FALSE(advised(End::Silent, killed, "")) << "we killed it";
    EXPECT_FALSE(advised(End::Exited, ExitStatus{.code = 1, .signal = 0}, "no such file"));
    EXPECT_TRUE(advised(End::NeverReady, std::nullopt, "terminate: std::bad_alloc"));
    EXPECT_EQ(describe(killed), "killed by signal 9");
    EXPECT_EQ(describe(ExitStatus{.code = 1, .signal = 0}), "exited with code 1");
}

}  // namespace
}  // namespace hearth::worker
