#include "cli/interrupt.h"

#include <cstdio>
#include <cstdlib>

#include "base/error.h"

namespace hearth::cli {
namespace {

volatile std::sig_atomic_t raised = 0;

void note(int) { raised = 1; }

}  // namespace

InterruptGuard::InterruptGuard() {
    clear_interrupt();
    struct sigaction action{};
    action.sa_handler = note;
    CHECK(::sigaction(SIGINT, &action, &before_) == 0);
}

InterruptGuard::~InterruptGuard() {
    clear_interrupt();
    CHECK(::sigaction(SIGINT, &before_, nullptr) == 0);
}

bool interrupted() { return raised != 0; }
void clear_interrupt() { raised = 0; }

void end_by_interrupt() {
    std::fflush(stdout);
    std::fflush(stderr);
    std::signal(SIGINT, SIG_DFL);
    std::raise(SIGINT);
    std::_Exit(128 + SIGINT);
}

}  // namespace hearth::cli
