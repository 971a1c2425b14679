#include "fetch/stop.h"

#include <signal.h>
#include <unistd.h>

#include <atomic>

#include "base/error.h"
#include "fetch/outcome.h"

namespace hearth::fetch {
namespace {

// Process-wide, as signals are.
std::atomic<bool> requested{false};
std::atomic<bool> at_once{false};
int stopped_exit_code = 0;  // before the handlers are there

void on_stop_signal(int) {
    requested = true;
    if (!at_once) return;
    (void)!::write(STDOUT_FILENO, kStoppedLine, sizeof kStoppedLine - 1);
    ::_exit(stopped_exit_code);
}

}  // namespace

void install_stop_handlers() {
    static_assert(std::atomic<bool>::is_always_lock_free);
    stopped_exit_code = exit_code_of(Failure::Stopped);
    struct sigaction action{};
    action.sa_handler = on_stop_signal;
    for (const int number : {SIGTERM, SIGINT, SIGHUP}) {
        CHECK(::sigaction(number, &action, nullptr) == 0);
    }
    action.sa_handler = SIG_IGN;
    CHECK(::sigaction(SIGPIPE, &action, nullptr) == 0);
    CHECK(::sigaction(SIGXFSZ, &action, nullptr) == 0);
}

bool stop_requested() { return requested; }

StopAtOnce::StopAtOnce() {
    at_once = true;
    // One that came just before would not be noticed any more.
    if (requested) ::raise(SIGTERM);
}

StopAtOnce::~StopAtOnce() { at_once = false; }

}  // namespace hearth::fetch
