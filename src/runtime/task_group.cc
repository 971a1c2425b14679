#include "runtime/task_group.h"

#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/system/system_error.hpp>
#include <exception>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/error.h"
#include "telemetry/log.h"

namespace asio = boost::asio;

namespace hearth::runtime {
namespace {

struct Task {
    const char* name;
    asio::cancellation_signal signal;
    bool begins = false;  // its first part is running inside spawn()
    bool started = false;
    bool cancelled = false;
};

void report(const Task& task, std::exception_ptr error) {
    if (!error) return;
    try {
        std::rethrow_exception(error);
    } catch (const boost::system::system_error& failure) {
        if (task.cancelled && failure.code() == asio::error::operation_aborted) return;
        log::error("task failed name={} error=\"{}\"", task.name, failure.what());
    } catch (const std::exception& failure) {
        log::error("task failed name={} error=\"{}\"", task.name, failure.what());
    } catch (...) {
        log::error("task failed name={} error=unknown", task.name);
    }
}

// asio loses the task when a cancellation arrives before the coroutine has started: such a one is
// kept in `cancelled` and read here.
Awaitable<void> unless_cancelled(std::shared_ptr<Task> task, Awaitable<void> work) {
    task->started = true;
    if (!task->cancelled) co_await std::move(work);
}

}  // namespace

struct TaskGroup::State {
    explicit State(asio::io_context& context) : io(context) {}

    void ended(TaskId id, std::exception_ptr error) {
        const auto found = tasks.find(id);
        report(*found->second, std::move(error));
        tasks.erase(found);
        if (tasks.empty()) tell_waiters();
    }
    void cancel(TaskId id) {
        const auto found = tasks.find(id);
        if (found == tasks.end()) return;
        // The copy keeps the signal alive should the task end inside emit().
        const std::shared_ptr<Task> task = found->second;
        task->cancelled = true;
        if (task->started && !task->begins) task->signal.emit(asio::cancellation_type::terminal);
    }
    void cancel_all() {
        std::vector<TaskId> ids;
        ids.reserve(tasks.size());
        for (const auto& [id, task] : tasks) ids.push_back(id);
        for (const TaskId id : ids) cancel(id);
    }
    // Posted: the caller may be the last frames of the task that ended.
    void tell_waiters() {
        for (auto& waiter : std::exchange(waiters, {})) asio::post(io, std::move(waiter));
    }

    asio::io_context& io;
    std::uint64_t last_id = 0;
    bool stopping = false;
    bool cancelled = false;  // who waits in run()
    std::unordered_map<TaskId, std::shared_ptr<Task>> tasks;
    std::vector<std::move_only_function<void()>> waiters;
};

TaskGroup::TaskGroup(asio::io_context& io) : state_(std::make_shared<State>(io)) {}

TaskGroup::~TaskGroup() { CHECK(state_->tasks.empty()); }

TaskId TaskGroup::spawn(const char* name, Awaitable<void> work) {
    CHECK(!state_->stopping);
    const std::shared_ptr<State> state = state_;  // the task may end the group's owner
    const TaskId id{++state->last_id};
    auto task = std::make_shared<Task>();
    task->name = name;
    state->tasks.emplace(id, task);
    task->begins = true;
    asio::co_spawn(
        state->io, unless_cancelled(task, std::move(work)),
        asio::bind_cancellation_slot(task->signal.slot(), [state, id](std::exception_ptr error) {
            state->ended(id, std::move(error));
        }));
    task->begins = false;
    // asio also loses one that is cancelled in its first part and ends with that part.
    if (task->cancelled) state->cancel(id);
    return id;
}

TaskId TaskGroup::next_id() const { return TaskId{state_->last_id + 1}; }

void TaskGroup::cancel(TaskId id) { state_->cancel(id); }

void TaskGroup::cancel_all() { state_->cancel_all(); }

Awaitable<void> TaskGroup::stop() {
    state_->stopping = true;
    cancel_all();
    // Holding the state, not the group: nothing here may assume the group outlives a cancelled
    // stop.
    co_await asio::async_initiate<const asio::use_awaitable_t<>&, void()>(
        [](auto handler, std::shared_ptr<State> state) {
            state->waiters.emplace_back(std::move(handler));
            if (state->tasks.empty()) state->tell_waiters();
        },
        asio::use_awaitable, state_);
}

// The tasks begin where the caller already waits: between their beginning and a wait of its own a
// cancellation would unwind its frame under them.
Awaitable<void> TaskGroup::run(std::move_only_function<void()> begin) {
    co_await asio::async_initiate<const asio::use_awaitable_t<>&, void()>(
        [](auto handler, std::shared_ptr<State> state, std::move_only_function<void()> start) {
            auto slot = asio::get_associated_cancellation_slot(handler);
            state->cancelled = false;
            if (slot.is_connected()) {
                slot.assign([state](asio::cancellation_type) {
                    state->cancelled = true;
                    state->cancel_all();
                });
            }
            // Some may end before the last is begun, and so may the caller.
            start();
            if (state->cancelled) state->cancel_all();
            state->waiters.emplace_back([slot, handler = std::move(handler)]() mutable {
                slot.clear();
                std::move(handler)();
            });
            if (state->tasks.empty()) state->tell_waiters();
        },
        asio::use_awaitable, state_, std::move(begin));
}

void TaskGroup::when_empty(std::move_only_function<void()> done) {
    state_->waiters.push_back(std::move(done));
    if (state_->tasks.empty()) state_->tell_waiters();
}

std::size_t TaskGroup::size() const { return state_->tasks.size(); }

}  // namespace hearth::runtime
