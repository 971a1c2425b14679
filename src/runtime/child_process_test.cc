#include "runtime/child_process.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/io_context.hpp>
#include <cstdlib>
#include <filesystem>
#include <thread>

#include "base/unique_fd.h"
#include "testing/processes.h"
#include "testing/run.h"

namespace hearth::runtime {
namespace {

using namespace std::chrono_literals;
using testing::eventually;
using testing::is_dead;

struct Started {
    std::unique_ptr<ChildProcess> child;
    std::shared_ptr<std::vector<std::string>> lines;
};

Started start(boost::asio::io_context& io, std::string program, std::vector<std::string> arguments,
              std::vector<std::string> environment = {}, std::chrono::milliseconds grace = 0ms) {
    auto lines = std::make_shared<std::vector<std::string>>();
    auto child =
        ChildProcess::start(io, {.program = std::move(program),
                                 .arguments = std::move(arguments),
                                 .environment = std::move(environment),
                                 .on_line = [lines](auto line) { lines->emplace_back(line); },
                                 .grace = grace});
    EXPECT_TRUE(child) << child.error().message;
    return {child ? *std::move(child) : nullptr, lines};
}

Started start_shell(boost::asio::io_context& io, const std::string& script,
                    std::vector<std::string> environment = {},
                    std::chrono::milliseconds grace = 0ms) {
    return start(io, "/bin/sh", {"-c", script}, std::move(environment), grace);
}

// Runs the io_context until there is a line, and returns it.
std::string first_line(boost::asio::io_context& io, const Started& started) {
    const auto end = std::chrono::steady_clock::now() + 10s;
    io.restart();
    while (started.lines->empty() && io.run_one_until(end) > 0) {
    }
    return started.lines->empty() ? "" : started.lines->front();
}

TEST(ChildProcess, HandsOverTheLinesOfBothStreamsAndTheExitCode) {
    boost::asio::io_context io;
    const Started started = start_shell(io, "echo one; echo two >&2; printf three; exit 7");
    const ExitStatus status = testing::run(io, started.child->wait(), 10s);
    EXPECT_EQ(status.code, 7);
    EXPECT_EQ(status.signal, 0);
    std::ranges::sort(*started.lines);
    EXPECT_EQ(*started.lines, (std::vector<std::string>{"one", "three", "two"}));
}

TEST(ChildProcess, CutsLongLinesIntoBoundedPieces) {
    boost::asio::io_context io;
    const Started started =
        start_shell(io, "head -c 10000 /dev/zero | tr '\\0' x; echo; echo; echo end");
    testing::run(io, started.child->wait(), 10s);
    std::string joined;
    for (const std::string& line : *started.lines) {
        EXPECT_LE(line.size(), 4096U);
        joined += line;
    }
    EXPECT_EQ(joined, std::string(10000, 'x') + "end");
    EXPECT_EQ(started.lines->back(), "end");
}

// When the loop first looks, output and end are both there: neither may overtake the other.
TEST(ChildProcess, LosesNothingOfWhatAChildPrintedBeforeItEnded) {
    boost::asio::io_context io;
    const Started started = start_shell(io, "seq 1000; seq 1001 2000 >&2");
    ASSERT_TRUE(eventually([&] { return is_dead(started.child->pid()); }));
    testing::run(io, started.child->wait(), 10s);
    std::vector<int> numbers;
    for (const std::string& line : *started.lines) numbers.push_back(std::atoi(line.c_str()));
    std::ranges::sort(numbers);
    ASSERT_EQ(numbers.size(), 2000U);
    for (int i = 0; i < 2000; ++i) EXPECT_EQ(numbers[static_cast<std::size_t>(i)], i + 1);
}

TEST(ChildProcess, SaysWhenTheProgramDoesNotExistOrCannotRun) {
    boost::asio::io_context io;
    for (const char* program : {"/nonexistent/program", "/etc/passwd", "/"}) {
        const auto child = ChildProcess::start(io, {.program = program});
        ASSERT_FALSE(child);
        EXPECT_EQ(child.error().code, Code::NotFound);
        EXPECT_NE(child.error().message.find(program), std::string::npos);
    }
}

TEST(ChildProcess, ReportsTheEndingSignal) {
    boost::asio::io_context io;
    const Started started = start_shell(io, "kill -TERM $$");
    const ExitStatus status = testing::run(io, started.child->wait(), 10s);
    EXPECT_EQ(status.code, -1);
    EXPECT_EQ(status.signal, SIGTERM);
}

TEST(ChildProcess, ReplacesEnvironmentVariables) {
    boost::asio::io_context io;
    ::setenv("HEARTH_TEST_KEPT", "kept", 1);
    ::setenv("HEARTH_TEST_CHANGED", "before", 1);
    const Started started = start_shell(io, "echo $HEARTH_TEST_KEPT $HEARTH_TEST_CHANGED",
                                        {"HEARTH_TEST_CHANGED=after"});
    testing::run(io, started.child->wait(), 10s);
    EXPECT_EQ(*started.lines, (std::vector<std::string>{"kept after"}));
}

TEST(ChildProcess, InheritsNoDescriptorOfOursButTheLifeLine) {
    boost::asio::io_context io;
    const UniqueFd leaky(::open("/dev/null", O_RDONLY));
    const UniqueFd high(::fcntl(leaky.value(), F_DUPFD, 100));
    const Started started = start_shell(
        io, "for fd in /proc/$$/fd/*; do echo ${fd##*/}; done; [ -p /dev/fd/3 ] || exit 1");
    EXPECT_EQ(testing::run(io, started.child->wait(), 10s).code, 0);
    // 4 is the directory the shell is reading.
    for (const std::string& line : *started.lines) EXPECT_LE(std::atoi(line.c_str()), 4) << line;
}

TEST(ChildProcess, StartsWithNoSignalBlockedOrIgnored) {
    boost::asio::io_context io;
    ::signal(SIGPIPE, SIG_IGN);
    const Started started = start(io, "/bin/grep", {"-E", "^Sig(Blk|Ign)", "/proc/self/status"});
    testing::run(io, started.child->wait(), 10s);
    ASSERT_EQ(started.lines->size(), 2U);
    for (const std::string& line : *started.lines) {
        EXPECT_EQ(line.substr(line.find('\t') + 1), "0000000000000000") << line;
    }
}

TEST(ChildProcess, IsKilledWithItsWholeGroupWhenTheOwnerLetsGo) {
    boost::asio::io_context io;
    Started started = start_shell(io, "sleep 1000 & echo $!; wait");
    const int grandchild = std::atoi(first_line(io, started).c_str());
    const int child = started.child->pid();
    ASSERT_GT(grandchild, 0);
    started.child.reset();
    EXPECT_TRUE(eventually([&] { return is_dead(child) && is_dead(grandchild); }));
    EXPECT_TRUE(eventually([&] { return ::kill(child, 0) != 0; })) << "not reaped";
}

TEST(ChildProcess, HasAGraceToPutThingsInOrder) {
    const auto folder =
        std::filesystem::temp_directory_path() / ("grace-" + std::to_string(::getpid()));
    boost::asio::io_context io;
    for (const bool obeys : {true, false}) {
        // What it prints then goes nowhere, and is no reason to die of.
        const std::string last = obeys ? "echo end >&2; mkdir " + folder.string() + "; exit" : ":";
        Started started =
            start_shell(io, "trap '" + last + "' TERM; echo ready; while :; do sleep 0.01; done",
                        {}, obeys ? 20s : 300ms);
        ASSERT_EQ(first_line(io, started), "ready");
        const int pid = started.child->pid();
        started.child.reset();
        EXPECT_EQ(::kill(pid, 0), 0) << "killed at once";
        io.restart();
        io.run();  // until the child is reaped
        EXPECT_NE(::kill(pid, 0), 0) << obeys;
    }
    EXPECT_TRUE(std::filesystem::remove(folder));
}

TEST(ChildProcess, LeavesNoGrandchildWhenItEndsByItself) {
    boost::asio::io_context io;
    const Started started = start_shell(io, "sleep 1000 & echo $!");
    testing::run(io, started.child->wait(), 10s);
    const int grandchild = std::atoi(first_line(io, started).c_str());
    ASSERT_GT(grandchild, 0);
    EXPECT_TRUE(eventually([&] { return is_dead(grandchild); }));
}

TEST(ChildProcess, ReceivesSignalsAsAGroup) {
    boost::asio::io_context io;
    const Started started =
        start_shell(io, "trap 'exit 9' TERM; echo ready; while :; do sleep 0.01; done");
    ASSERT_EQ(first_line(io, started), "ready");
    started.child->signal(SIGTERM);
    EXPECT_EQ(testing::run(io, started.child->wait(), 10s).code, 9);
    started.child->signal(SIGKILL);  // nothing is left to receive it
}

class OrphanTest : public ::testing::TestWithParam<bool> {};

// The parent is killed so that it can run no handler and no destructor; the child may be stopped.
TEST_P(OrphanTest, DiesWithAParentThatIsKilled) {
    boost::asio::io_context io;
    Started parent = start(io, HEARTH_SCRIPTED_PARENT, {"/bin/sleep", "1000"});
    const std::string line = first_line(io, parent);
    ASSERT_TRUE(line.starts_with("child ")) << line;
    const int child = std::atoi(line.c_str() + 6);
    ASSERT_GT(child, 0);
    ASSERT_FALSE(is_dead(child));
    if (GetParam()) ::kill(child, SIGSTOP);
    ::kill(parent.child->pid(), SIGKILL);
    EXPECT_TRUE(eventually([&] { return is_dead(child); }));
}

INSTANTIATE_TEST_SUITE_P(ChildProcess, OrphanTest, ::testing::Bool(), [](const auto& stopped) {
    return stopped.param ? "WhenStopped" : "WhenRunning";
});

TEST(ChildProcess, OutlivesTheThreadThatStartedIt) {
    boost::asio::io_context io;
    Started started;
    std::thread([&] { started = start_shell(io, "sleep 0.05; echo alive"); }).join();
    EXPECT_EQ(testing::run(io, started.child->wait(), 10s).code, 0);
    EXPECT_EQ(*started.lines, (std::vector<std::string>{"alive"}));
}

TEST(ChildProcess, CanBeStartedManyTimes) {
    boost::asio::io_context io;
    for (int round = 0; round < 20; ++round) {
        Started started = start_shell(io, "exit 3");
        EXPECT_EQ(testing::run(io, started.child->wait(), 10s).code, 3);
    }
}

}  // namespace
}  // namespace hearth::runtime
