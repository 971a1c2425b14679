#include "runtime/signals.h"

#include <ctime>

#include "base/error.h"

namespace hearth::runtime {

SignalWaiter::SignalWaiter(std::initializer_list<int> signals) {
    sigemptyset(&set_);
    for (const int number : signals) sigaddset(&set_, number);
    CHECK(pthread_sigmask(SIG_BLOCK, &set_, nullptr) == 0);
    // A peer that closes its end is an error of that write, not of the process.
    std::signal(SIGPIPE, SIG_IGN);
}

std::optional<int> SignalWaiter::wait(std::chrono::milliseconds timeout) const {
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(timeout);
    timespec wait{};
    wait.tv_sec = seconds.count();
    wait.tv_nsec = std::chrono::nanoseconds(timeout - seconds).count();
    const int number = sigtimedwait(&set_, nullptr, &wait);
    if (number < 0) return std::nullopt;
    return number;
}

}  // namespace hearth::runtime
