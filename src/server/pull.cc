#include "server/pull.h"

#include <boost/asio/io_context.hpp>
#include <utility>

#include "runtime/child_process.h"
#include "runtime/event.h"
#include "server/programs.h"
#include "telemetry/log.h"

namespace hearth::server {
namespace {

// Between two looks at whether it has ended.
constexpr auto kLook = std::chrono::milliseconds(50);
// For making what has come survive.
constexpr auto kGrace = std::chrono::seconds(5);

}  // namespace

// Shared with the child's callback, which may come once more after the object is gone.
struct PullProcess::Lines {
    explicit Lines(boost::asio::io_context& io) : event(io) {}

    void add(std::string_view line) {
        if (!line.starts_with('{')) {
            log::info("download says line=\"{}\"", line);
            return;
        }
        if (waiting.size() >= kLinesMax) waiting.erase(waiting.begin());
        waiting.emplace_back(line);
        event.notify();
    }

    runtime::Event event;
    std::vector<std::string> waiting;
};

struct PullProcess::State {
    std::shared_ptr<Lines> lines;
    std::unique_ptr<runtime::ChildProcess> child;
};

PullProcess::PullProcess(std::unique_ptr<State> state) : state_(std::move(state)) {}
PullProcess::~PullProcess() = default;

Result<std::unique_ptr<PullProcess>> PullProcess::start(boost::asio::io_context& io,
                                                        Options options) {
    auto state = std::make_unique<State>();
    state->lines = std::make_shared<Lines>(io);
    runtime::ChildOptions child{.program = program_beside("hearth-fetch"),
                                .arguments = {"--store", options.store, "--model", options.model}};
    child.grace = kGrace;
    if (options.insecure) child.arguments.emplace_back("--insecure");
    child.on_line = [lines = state->lines](std::string_view line) { lines->add(line); };
    TRY(state->child, runtime::ChildProcess::start(io, std::move(child)));
    return std::unique_ptr<PullProcess>(new PullProcess(std::move(state)));
}

Awaitable<std::vector<std::string>> PullProcess::next_lines() {
    Lines& lines = *state_->lines;
    while (lines.waiting.empty() && !state_->child->has_ended()) {
        co_await lines.event.wait_until(runtime::Event::Clock::now() + kLook);
    }
    co_return std::exchange(lines.waiting, {});
}

}  // namespace hearth::server
