#include <gtest/gtest.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <filesystem>
#include <fstream>
#include <future>
#include <stdexcept>

#include "runtime/cgroup.h"
#include "runtime/deadline.h"
#include "runtime/shard.h"
#include "runtime/task_group.h"
#include "testing/run.h"

namespace hearth {
namespace {

using namespace std::chrono_literals;
using runtime::Shards;
using runtime::TaskGroup;
using testing::run;

struct Folder {
    Folder() {
        std::string name = "/tmp/hearth-quota-XXXXXX";
        path = ::mkdtemp(name.data());
    }
    ~Folder() { std::filesystem::remove_all(path); }
    void write(const std::string& file, const std::string& text) const {
        std::filesystem::create_directories((path / file).parent_path());
        std::ofstream(path / file) << text;
    }
    std::filesystem::path path;
};

TEST(CpuQuota, ReadsTheTightestLimitOfVersionTwoOnTheWayToTheRoot) {
    Folder cgroups;
    cgroups.write("cpu.max", "400000 100000\n");
    cgroups.write("outer/cpu.max", "150000 100000\n");
    cgroups.write("outer/inner/cpu.max", "max 100000\n");
    EXPECT_EQ(runtime::cgroup_cpu_limit(cgroups.path, "0::/outer/inner\n"), 1.5);
    EXPECT_EQ(runtime::cgroup_cpu_limit(cgroups.path, "0::/elsewhere\n"), 4.0);
}

TEST(CpuQuota, ReadsVersionOneUnderEitherMountName) {
    Folder cgroups;
    cgroups.write("cpu,cpuacct/box/cpu.cfs_quota_us", "300000\n");
    cgroups.write("cpu,cpuacct/box/cpu.cfs_period_us", "100000\n");
    cgroups.write("cpu/cpu.cfs_quota_us", "-1\n");
    cgroups.write("cpu/cpu.cfs_period_us", "100000\n");
    EXPECT_EQ(runtime::cgroup_cpu_limit(cgroups.path, "5:cpuset:/x\n4:cpu,cpuacct:/box\n"), 3.0);
    EXPECT_EQ(runtime::cgroup_cpu_limit(cgroups.path, "4:cpu:/box\n"), std::nullopt);
}

TEST(MemoryLimit, IsTheTightestOfEitherVersion) {
    Folder cgroups;
    cgroups.write("memory.max", "max\n");
    cgroups.write("box/memory.max", "1073741824\n");
    cgroups.write("box/in/memory.max", "2147483648\n");
    cgroups.write("memory/box/memory.limit_in_bytes", "9223372036854771712\n");
    cgroups.write("memory/memory.limit_in_bytes", "4096\n");
    EXPECT_EQ(runtime::cgroup_memory_limit(cgroups.path, "0::/box/in\n"), 1073741824.0);
    EXPECT_EQ(runtime::cgroup_memory_limit(cgroups.path, "0::/other\n"), std::nullopt);
    EXPECT_EQ(runtime::cgroup_memory_limit(cgroups.path, "3:memory:/box\n"), 4096.0);
    EXPECT_GT(runtime::usable_memory(), 1U << 20);
}

TEST(CpuQuota, IsUnlimitedWhenNothingCanBeRead) {
    EXPECT_EQ(runtime::cgroup_cpu_limit("/nonexistent", "0::/\n1:cpu:/a\nnonsense"), std::nullopt);
    EXPECT_EQ(runtime::cgroup_memory_limit("/nonexistent", "0::/\n1:memory:/a"), std::nullopt);
    EXPECT_GE(runtime::cpu_quota(), 1U);
}

TEST(Shards, RunPostedWorkOnTheirOwnThreads) {
    Shards shards(2);
    shards.start();
    for (std::size_t i = 0; i < shards.size(); ++i) {
        std::promise<std::size_t> ran;
        shards.post(i, [&] { ran.set_value(shards.current()); });
        EXPECT_EQ(ran.get_future().get(), i);
    }
    shards.stop();
    shards.stop();
}

TEST(Shards, KeepRunningWhenAHandlerThrows) {
    Shards shards(1);
    shards.start();
    shards.post(0, [] { throw std::runtime_error("thrown by a test"); });
    std::promise<void> ran;
    shards.post(0, [&] { ran.set_value(); });
    EXPECT_EQ(ran.get_future().wait_for(2s), std::future_status::ready);
}

TEST(Shards, CountAsManyAsTheProcessMayUseByDefault) {
    Shards shards(0);
    EXPECT_EQ(shards.size(), runtime::cpu_quota());
}

Awaitable<void> wait_task(std::chrono::milliseconds time, int* ended) {
    const Result<void> slept = co_await sleep_until(Deadline::after(time));
    *ended += slept ? 1 : 100;
}

Awaitable<void> throwing_task() {
    throw std::runtime_error("thrown by a test");
    co_return;
}

TEST(TaskGroup, RunsTasksAndForgetsThem) {
    boost::asio::io_context io;
    TaskGroup group(io);
    int ended = 0;
    group.spawn("wait", wait_task(1ms, &ended));
    group.spawn("wait", wait_task(2ms, &ended));
    EXPECT_EQ(group.size(), 2U);
    io.run_for(1s);
    EXPECT_EQ(ended, 2);
    EXPECT_EQ(group.size(), 0U);
}

TEST(TaskGroup, StopCancelsAndWaits) {
    boost::asio::io_context io;
    TaskGroup group(io);
    int ended = 0;
    group.spawn("wait", wait_task(1h, &ended));
    group.spawn("wait", wait_task(1h, &ended));
    run(io, group.stop());
    EXPECT_EQ(ended, 200);
    EXPECT_EQ(group.size(), 0U);
}

TEST(TaskGroup, StopOfAnEmptyGroupReturns) {
    boost::asio::io_context io;
    TaskGroup group(io);
    run(io, group.stop());
    run(io, group.stop());
}

TEST(TaskGroup, SurvivesATaskThatThrows) {
    boost::asio::io_context io;
    TaskGroup group(io);
    int ended = 0;
    group.spawn("throwing", throwing_task());
    group.spawn("wait", wait_task(1ms, &ended));
    io.run_for(1s);
    EXPECT_EQ(ended, 1);
    EXPECT_EQ(group.size(), 0U);
}

TEST(TaskGroup, CancelEndsOneTaskOnly) {
    boost::asio::io_context io;
    TaskGroup group(io);
    int first = 0;
    int second = 0;
    const runtime::TaskId id = group.spawn("first", wait_task(1h, &first));
    group.spawn("second", wait_task(5ms, &second));
    io.poll();
    group.cancel(id);
    group.cancel(id);
    io.run_for(1s);
    group.cancel(id);
    EXPECT_EQ(first, 100);
    EXPECT_EQ(second, 1);
}

TEST(TaskGroup, NeverStartsATaskCancelledBefore) {
    boost::asio::io_context io;
    TaskGroup group(io);
    int ended = 0;
    group.cancel(group.spawn("wait", wait_task(1h, &ended)));
    io.run_for(1s);
    EXPECT_EQ(ended, 0);
    EXPECT_EQ(group.size(), 0U);
}

Awaitable<void> leaving_task(TaskGroup* group) {
    group->cancel_all();
    co_return;
}

TEST(TaskGroup, ForgetsATaskThatCancelsItselfAtOnce) {
    boost::asio::io_context io;
    TaskGroup group(io);
    boost::asio::post(io, [&] { group.spawn("leaving", leaving_task(&group)); });
    io.run_for(1s);
    EXPECT_EQ(group.size(), 0U);
}

TEST(TaskGroup, TellsWhenItIsEmpty) {
    boost::asio::io_context io;
    TaskGroup group(io);
    int ended = 0;
    int told = 0;
    group.spawn("wait", wait_task(1ms, &ended));
    group.when_empty([&] { told += 1; });
    io.run_for(1s);
    EXPECT_EQ(told, 1);
    group.when_empty([&] { told += 1; });
    io.restart();
    io.run_for(1s);
    EXPECT_EQ(told, 2);
}

Awaitable<void> at_once_task(int* ended) {
    *ended += 1;
    co_return;
}

Awaitable<void> run_task(TaskGroup* inner, std::vector<std::chrono::milliseconds> times, int* ended,
                         int* left) {
    co_await inner->run([&] {
        inner->spawn("at once", at_once_task(ended));
        for (const auto time : times) inner->spawn("wait", wait_task(time, ended));
    });
    *left = static_cast<int>(inner->size());
}

TEST(TaskGroup, RunWaitsForAllThatItBegan) {
    boost::asio::io_context io;
    TaskGroup group(io);
    int ended = 0;
    int left = -1;
    run(io, run_task(&group, {1ms, 3ms}, &ended, &left));
    EXPECT_EQ(ended, 3);
    EXPECT_EQ(left, 0);
    run(io, run_task(&group, {}, &ended, &left));
    EXPECT_EQ(ended, 4);
}

Awaitable<void> run_cancelled_task(TaskGroup* inner, TaskGroup* own, int* ended) {
    co_await inner->run([&] {
        inner->spawn("cancels its caller", leaving_task(own));
        inner->spawn("wait", wait_task(1h, ended));
    });
    *ended += 1'000;
}

TEST(TaskGroup, RunCancelsWhatIsBegunAfterItsCallerWasCancelled) {
    boost::asio::io_context io;
    TaskGroup inner(io);
    TaskGroup outer(io);
    int ended = 0;
    outer.spawn("run", run_cancelled_task(&inner, &outer, &ended));
    io.run_for(1s);
    EXPECT_EQ(ended % 1'000, 100);
    EXPECT_EQ(inner.size() + outer.size(), 0U);
}

TEST(TaskGroup, RunWaitsAlsoWhereItsCallerIsCancelled) {
    boost::asio::io_context io;
    TaskGroup inner(io);
    TaskGroup outer(io);
    int ended = 0;
    int left = -1;
    outer.spawn("run", run_task(&inner, {1h, 1h}, &ended, &left));
    io.poll();
    run(io, outer.stop());
    EXPECT_EQ(ended, 201);
    EXPECT_EQ(left, 0);
    EXPECT_EQ(inner.size(), 0U);
}

Awaitable<Result<int>> answer_after(std::chrono::milliseconds time, int value) {
    CO_TRY_VOID(co_await sleep_until(Deadline::after(time)));
    co_return value;
}

Awaitable<Result<int>> stubborn(int value) {
    // The first error is ignored on purpose; nothing is awaited after it.
    (void)co_await sleep_until(Deadline::after(1h));
    co_return value;
}

Awaitable<Result<int>> throwing_work() {
    throw std::runtime_error("thrown by a test");
    co_return 1;
}

TEST(WithDeadline, ReturnsTheValueInTime) {
    boost::asio::io_context io;
    const auto got = run(io, with_deadline(Deadline::after(1s), answer_after(1ms, 7)));
    ASSERT_TRUE(got);
    EXPECT_EQ(*got, 7);
}

TEST(WithDeadline, CancelsWorkThatIsLate) {
    boost::asio::io_context io;
    const auto before = std::chrono::steady_clock::now();
    const auto got = run(io, with_deadline(Deadline::after(5ms), answer_after(1h, 7)));
    ASSERT_FALSE(got);
    EXPECT_EQ(got.error().code, Code::DeadlineExceeded);
    EXPECT_LT(std::chrono::steady_clock::now() - before, 1s);
}

TEST(WithDeadline, KeepsAValueThatArrivesDespiteTheCancellation) {
    boost::asio::io_context io;
    const auto got = run(io, with_deadline(Deadline::after(5ms), stubborn(9)));
    ASSERT_TRUE(got);
    EXPECT_EQ(*got, 9);
}

TEST(WithDeadline, PassesExceptionsOn) {
    boost::asio::io_context io;
    EXPECT_THROW((void)run(io, with_deadline(Deadline::after(1s), throwing_work())),
                 std::runtime_error);
}

TEST(WithDeadline, MayBeNestedAndTheEarlierOneCounts) {
    boost::asio::io_context io;
    const auto got =
        run(io, with_deadline(Deadline::after(5ms),
                              with_deadline(Deadline::after(1h), answer_after(1h, 1))));
    ASSERT_FALSE(got);
    EXPECT_EQ(got.error().code, Code::DeadlineExceeded);
}

Awaitable<void> bounded_task(Code* code) {
    const auto got = co_await with_deadline(Deadline::after(1h), answer_after(1h, 1));
    *code = got ? Code::Internal : got.error().code;
}

TEST(WithDeadline, PassesTheCancellationOfItsCallerOn) {
    boost::asio::io_context io;
    TaskGroup group(io);
    Code code = Code::Internal;
    group.spawn("bounded", bounded_task(&code));
    run(io, group.stop());
    EXPECT_EQ(code, Code::Cancelled);
}

}  // namespace
}  // namespace hearth
