#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/unique_fd.h"

// GCC and Clang each say it in their own way.
#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define HEARTH_SANITIZED true
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define HEARTH_SANITIZED true
#endif
#ifndef HEARTH_SANITIZED
#define HEARTH_SANITIZED false
#endif

namespace hearth::system_test {

// Programs need several times the memory and the time then.
inline constexpr bool kSanitized = HEARTH_SANITIZED;

struct StartOptions {
    std::vector<std::string> arguments;    // after: serve --listen 127.0.0.1:0 --data-dir DIR
    std::vector<std::string> environment;  // "NAME=value"
};

// How a program ended: its exit code, or 128 + the signal.
struct Ended {
    int code = -1;
    std::string output;
    std::string errors;
};

// Empty when there is no such file.
std::string read_file(const std::filesystem::path& path);

// Reaps `pid`; its exit code or 128 + signal, or nullopt when it still runs after `wait_max`.
std::optional<int> wait_for(pid_t pid, std::chrono::milliseconds wait_max);

// The real `hearth serve`, on a free port with a data directory of its own. The destructor kills
// it.
class ServerProcess {
  public:
    // Returns once the ready line has come. Throws std::runtime_error with the log when it does
    // not.
    explicit ServerProcess(const StartOptions& options = {});
    ~ServerProcess();
    ServerProcess(const ServerProcess&) = delete;
    ServerProcess& operator=(const ServerProcess&) = delete;

    const std::string& address() const { return address_; }  // "127.0.0.1:41235"
    const std::string& ready_line() const { return ready_line_; }
    pid_t pid() const { return pid_; }
    const std::filesystem::path& folder() const { return folder_; }
    std::string log() const;
    std::vector<pid_t> worker_pids() const;
    std::uint64_t resident_bytes() const;
    std::uint64_t cpu_ms() const;  // used since the start, user and system

    void signal(int number) const;
    // Waits until it has ended. Throws after `wait_max`.
    int wait(std::chrono::milliseconds wait_max);

  private:
    void read_ready_line();
    void clean_up();

    std::filesystem::path folder_;
    pid_t pid_ = -1;
    UniqueFd output_;
    std::string ready_line_;
    std::string address_;
};

// Creates an empty folder; the caller removes it.
std::filesystem::path make_folder();

// Runs `hearth` with arguments to its end.
Ended run_hearth(const std::vector<std::string>& arguments,
                 std::chrono::milliseconds wait_max = std::chrono::seconds(20));

bool is_alive(pid_t pid);  // false also for a zombie

// Polls until `condition` holds or `wait_max` has passed; its last value.
template <class Condition>
bool eventually(std::chrono::milliseconds wait_max, Condition condition);

void sleep_briefly();

template <class Condition>
bool eventually(std::chrono::milliseconds wait_max, Condition condition) {
    const auto end = std::chrono::steady_clock::now() + wait_max;
    while (!condition()) {
        if (std::chrono::steady_clock::now() >= end) return false;
        sleep_briefly();
    }
    return true;
}

}  // namespace hearth::system_test
