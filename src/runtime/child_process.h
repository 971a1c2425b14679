#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "runtime/awaitable.h"

namespace boost::asio {
class io_context;
}

namespace hearth::runtime {

struct ChildOptions {
    std::string program;                   // a path; no shell, no PATH search
    std::vector<std::string> arguments;    // without argv[0]
    std::vector<std::string> environment;  // "NAME=value" added to the parent's
    // Called on the shard with each line the child writes to stderr or stdout, without its newline;
    // lines over 4 KiB arrive in pieces.
    std::function<void(std::string_view line)> on_line;
    // What the destructor gives it between SIGTERM and SIGKILL, on the shard's loop; 0: nothing.
    std::chrono::milliseconds grace{0};
};

// How a child ended.
struct ExitStatus {
    int code = -1;   // exit code, or -1
    int signal = 0;  // ending signal, or 0
};

// A child process in its own process group that dies with us: PR_SET_PDEATHSIG, and a pipe on the
// child's descriptor 3 ("life line") whose end-of-file tells it that the parent is gone, however it
// died. It starts with no other descriptor of ours, no signal blocked or ignored, and /dev/null as
// its input. Shard-local. The destructor kills the group (SIGKILL, after `grace` if there is any)
// and reaps. Errors of start: NotFound (no such program, or not one that can run), Internal.
class ChildProcess {
  public:
    static Result<std::unique_ptr<ChildProcess>> start(boost::asio::io_context& io,
                                                       ChildOptions options);
    virtual ~ChildProcess() = default;
    virtual int pid() const = 0;
    virtual void signal(int number) = 0;  // to the whole group
    // Every line it left has been handed over.
    virtual bool has_ended() const = 0;
    // Suspends until the child has ended, every line it left has been handed over and its group is
    // killed. {-1, 0} when cancelled. May be awaited once.
    virtual Awaitable<ExitStatus> wait() = 0;
};

// Its end, for with_deadline(). The child must outlive the call. Errors: Cancelled.
Awaitable<Result<ExitStatus>> end_of(ChildProcess& child);

}  // namespace hearth::runtime
