#pragma once

#include <cstddef>
#include <memory>
#include <string>

#include "runtime/awaitable.h"

namespace boost::asio {
class io_context;
}

namespace hearth::runtime {

// Background coroutines with an owner: the only place that spawns. Shard-local; the last member of
// what owns it. An exception that leaves a task is logged with the task's name, never lost.
class TaskGroup {
  public:
    explicit TaskGroup(boost::asio::io_context& io);
    ~TaskGroup();  // CHECKs that it is empty: await stop() before
    TaskGroup(const TaskGroup&) = delete;
    TaskGroup& operator=(const TaskGroup&) = delete;

    void spawn(const char* name, Awaitable<void> task);
    // Cancels every task (terminal) and waits until all have ended. No spawn() afterwards.
    Awaitable<void> stop();
    std::size_t size() const;

  private:
    struct State;
    std::shared_ptr<State> state_;
};

}  // namespace hearth::runtime
