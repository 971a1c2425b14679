#pragma once

#include <sys/types.h>

#include <chrono>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "base/unique_fd.h"
#include "server_process.h"

namespace hearth::system_test {

struct CliOptions {
    std::vector<std::string> arguments;    // after: hearth
    std::vector<std::string> environment;  // "NAME=value"; before the test's own
    std::string input;                     // standard input
};

// Runs `hearth` to its end, with `input` piped in. Code -1 when it had to be killed.
Ended run_cli(const CliOptions& options,
              std::chrono::milliseconds wait_max = std::chrono::seconds(60));

// `hearth` on a terminal of its own. The destructor kills it.
class TerminalProcess {
  public:
    explicit TerminalProcess(const CliOptions& options);
    ~TerminalProcess();
    TerminalProcess(const TerminalProcess&) = delete;
    TerminalProcess& operator=(const TerminalProcess&) = delete;

    void type(std::string_view keys);
    // What the program prints up to and with `mark`; the rest is kept for the next call. Throws
    // std::runtime_error with what came when the mark does not.
    std::string read_until(std::string_view mark,
                           std::chrono::milliseconds wait_max = std::chrono::seconds(60));
    // Waits until it has ended: its exit code, or 128 + the signal. Throws after `wait_max`.
    int wait(std::chrono::milliseconds wait_max = std::chrono::seconds(20));

  private:
    bool read_more(std::chrono::milliseconds wait_max);

    pid_t pid_ = -1;
    UniqueFd terminal_;
    std::string ahead_;
};

}  // namespace hearth::system_test
