// hearth-spawn-time: how long a program takes from the moment it is started until it says it is
// ready (its first line on standard output) or until it ends, and what memory it and its children
// then hold.
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <exception>
#include <fstream>
#include <thread>

#include "base/unique_fd.h"
#include "process_usage.h"

extern char** environ;

namespace hearth::bench {
namespace {

using Clock = std::chrono::steady_clock;
constexpr int kReadyWaitMs = 30'000;
constexpr auto kEndWait = std::chrono::seconds(30);
constexpr auto kSettle = std::chrono::milliseconds(500);

struct Options {
    std::vector<std::string> command;
    std::size_t times = 20;
    bool until_exit = false;
    std::string label;
    std::string record;
};

struct Child {
    pid_t pid = -1;
    UniqueFd output;
};

Child start(const std::vector<std::string>& command) {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) throw std::runtime_error("pipe2 failed");
    Child child;
    child.output = UniqueFd(ends[0]);
    UniqueFd write_end(ends[1]);
    posix_spawn_file_actions_t actions;
    ::posix_spawn_file_actions_init(&actions);
    ::posix_spawn_file_actions_adddup2(&actions, write_end.value(), STDOUT_FILENO);
    std::vector<char*> arguments;
    for (const std::string& argument : command)
        arguments.push_back(const_cast<char*>(argument.c_str()));
    arguments.push_back(nullptr);
    const int failure =
        ::posix_spawn(&child.pid, arguments[0], &actions, nullptr, arguments.data(), environ);
    ::posix_spawn_file_actions_destroy(&actions);
    if (failure != 0) throw std::runtime_error(command[0] + ": " + std::strerror(failure));
    return child;
}

void wait_for_first_line(const Child& child) {
    pollfd poll{.fd = child.output.value(), .events = POLLIN, .revents = 0};
    for (char byte = 0; byte != '\n';) {
        if (::poll(&poll, 1, kReadyWaitMs) != 1) throw std::runtime_error("not ready in 30 s");
        if (::read(poll.fd, &byte, 1) != 1) throw std::runtime_error("ended before it was ready");
    }
}

void stop(const Child& child) {
    ::kill(child.pid, SIGTERM);
    const auto deadline = Clock::now() + kEndWait;
    while (::waitpid(child.pid, nullptr, WNOHANG) == 0) {
        if (Clock::now() >= deadline) ::kill(child.pid, SIGKILL);
        std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
}

double milliseconds_since(Clock::time_point begin) {
    return std::chrono::duration<double, std::milli>(Clock::now() - begin).count();
}

double run_to_exit(const Options& options) {
    const auto begin = Clock::now();
    const Child child = start(options.command);
    int status = 0;
    ::waitpid(child.pid, &status, 0);
    const double elapsed_ms = milliseconds_since(begin);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) throw std::runtime_error("it failed");
    return elapsed_ms;
}

// Returns the time and the resident MiB half a second later.
std::pair<double, double> run_to_ready(const Options& options) {
    const auto begin = Clock::now();
    const Child child = start(options.command);
    double elapsed_ms = 0;
    double resident_mib = 0;
    try {
        wait_for_first_line(child);
        elapsed_ms = milliseconds_since(begin);
        std::this_thread::sleep_for(kSettle);
        resident_mib = static_cast<double>(tree_resident_bytes(child.pid)) / (1 << 20);
    } catch (...) {
        stop(child);
        throw;
    }
    stop(child);
    return {elapsed_ms, resident_mib};
}

void measure(const Options& options) {
    std::ofstream record;
    if (!options.record.empty()) record.open(options.record, std::ios::app);
    const auto print = [&](const char* metric, double value) {
        std::printf("%s.%s\t%.6g\n", options.label.c_str(), metric, value);
        if (record.is_open()) record << options.label << '.' << metric << '\t' << value << '\n';
    };
    for (std::size_t i = 0; i < options.times; ++i) {
        if (options.until_exit) {
            print("exit_ms", run_to_exit(options));
        } else {
            const auto [ready_ms, resident_mib] = run_to_ready(options);
            print("ready_ms", ready_ms);
            print("resident_mib", resident_mib);
        }
    }
}

}  // namespace
}  // namespace hearth::bench

int main(int argc, char** argv) {
    hearth::bench::Options options;
    CLI::App app(
        "hearth-spawn-time: start to ready (first output line) or to exit, and memory held");
    app.add_option("--times", options.times, "how often");
    app.add_flag("--until-exit", options.until_exit, "to the end of the process instead");
    app.add_option("--label", options.label, "name put before each metric");
    app.add_option("--record", options.record, "file to append the metrics to");
    app.add_option("command", options.command, "program and arguments, after --")->required();
    CLI11_PARSE(app, argc, argv);
    try {
        hearth::bench::measure(options);
    } catch (const std::exception& error) {
        std::fprintf(stderr, "hearth-spawn-time: %s\n", error.what());
        return 1;
    }
    return 0;
}
