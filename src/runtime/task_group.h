#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>

#include "runtime/awaitable.h"

namespace boost::asio {
class io_context;
}

namespace hearth::runtime {

enum class TaskId : std::uint64_t {};

// Background coroutines with an owner: the only place that spawns. Shard-local; the last member of
// what owns it. An exception that leaves a task is logged with the task's name, never lost.
// Cancellation is terminal: the operation a task waits for ends with an error, and every later
// `co_await` in it throws, so a cancelled task unwinds and must not await in its clean-up.
class TaskGroup {
  public:
    explicit TaskGroup(boost::asio::io_context& io);
    ~TaskGroup();  // CHECKs that it is empty: await stop() before
    TaskGroup(const TaskGroup&) = delete;
    TaskGroup& operator=(const TaskGroup&) = delete;

    // The task's first part runs at once when called from a handler of the shard. `name` must
    // outlive the group.
    TaskId spawn(const char* name, Awaitable<void> task);
    // What the next spawn() will return: for a task that must know itself.
    TaskId next_id() const;
    // Cancels one task: one that has not started never runs. Nothing when it has ended.
    void cancel(TaskId task);
    void cancel_all();
    // Cancels every task and waits until all have ended. No spawn() afterwards. Not from a task of
    // this group.
    Awaitable<void> stop();
    // Calls `begin`, which spawns, and waits until no task is left. Where the caller is cancelled
    // every task is, and it still waits until all have ended: tasks may use what the caller's frame
    // holds. The group must not be used by others meanwhile.
    Awaitable<void> run(std::move_only_function<void()> begin);
    // Calls `done` on the shard once no task is left, also when none is now.
    void when_empty(std::move_only_function<void()> done);
    std::size_t size() const;

  private:
    struct State;
    std::shared_ptr<State> state_;
};

}  // namespace hearth::runtime
