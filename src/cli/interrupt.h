#pragma once

#include <csignal>

namespace hearth::cli {

// While one lives, SIGINT sets a flag instead of ending the program. Main thread only, one at a
// time.
class InterruptGuard {
  public:
    InterruptGuard();
    ~InterruptGuard();
    InterruptGuard(const InterruptGuard&) = delete;
    InterruptGuard& operator=(const InterruptGuard&) = delete;

  private:
    struct sigaction before_{};
};

// A SIGINT has come since the last clear. False where no guard lives.
bool interrupted();
void clear_interrupt();

// Ends the program as SIGINT does by itself, so that a shell's loop around it ends too.
[[noreturn]] void end_by_interrupt();

}  // namespace hearth::cli
