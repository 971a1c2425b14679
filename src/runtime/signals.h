#pragma once

#include <chrono>
#include <csignal>
#include <initializer_list>
#include <optional>

namespace hearth::runtime {

// Signals taken by waiting instead of by a handler. Construct in main before any thread starts: the
// signals are blocked there and in every thread that follows. Children unblock them again
// (child_process).
class SignalWaiter {
  public:
    explicit SignalWaiter(std::initializer_list<int> signals);

    // The next of the signals, or nullopt after `timeout`.
    std::optional<int> wait(std::chrono::milliseconds timeout) const;

  private:
    sigset_t set_{};
};

}  // namespace hearth::runtime
