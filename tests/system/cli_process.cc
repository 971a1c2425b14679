#include "cli_process.h"

#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <stdexcept>

extern char** environ;

namespace hearth::system_test {
namespace {

namespace fs = std::filesystem;

// What execve takes, prepared before the fork. The first of equal names counts.
class Program {
  public:
    explicit Program(const CliOptions& options)
        : arguments_(options.arguments), environment_(options.environment) {
        arguments_.insert(arguments_.begin(), HEARTH_BINARY_DIR "/hearth");
        environment_.insert(environment_.end(),
                            {"TERM=xterm", "EDITRC=/dev/null", "LC_ALL=C.UTF-8"});
        for (char** entry = environ; *entry != nullptr; ++entry) {
            environment_.emplace_back(*entry);
        }
        argument_pointers_ = pointers(arguments_);
        environment_pointers_ = pointers(environment_);
    }
    [[noreturn]] void run() {
        ::execve(argument_pointers_[0], argument_pointers_.data(), environment_pointers_.data());
        ::_exit(127);
    }

  private:
    static std::vector<char*> pointers(std::vector<std::string>& texts) {
        std::vector<char*> out;
        for (std::string& text : texts) out.push_back(text.data());
        out.push_back(nullptr);
        return out;
    }

    std::vector<std::string> arguments_;
    std::vector<std::string> environment_;
    std::vector<char*> argument_pointers_;
    std::vector<char*> environment_pointers_;
};

void kill_and_reap(pid_t pid) {
    ::kill(pid, SIGKILL);
    ::waitpid(pid, nullptr, 0);
}

}  // namespace

Ended run_cli(const CliOptions& options, std::chrono::milliseconds wait_max) {
    const fs::path folder = make_folder();
    std::ofstream(folder / "input", std::ios::binary) << options.input;
    const UniqueFd input(::open((folder / "input").c_str(), O_RDONLY | O_CLOEXEC));
    const UniqueFd output(
        ::open((folder / "output").c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    const UniqueFd errors(
        ::open((folder / "errors").c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    Program program(options);
    const pid_t pid = ::fork();
    if (pid == 0) {
        ::dup2(input.value(), STDIN_FILENO);
        ::dup2(output.value(), STDOUT_FILENO);
        ::dup2(errors.value(), STDERR_FILENO);
        program.run();
    }
    const auto code = wait_for(pid, wait_max);
    if (!code) kill_and_reap(pid);
    Ended ended{.code = code.value_or(-1),
                .output = read_file(folder / "output"),
                .errors = read_file(folder / "errors")};
    fs::remove_all(folder);
    return ended;
}

TerminalProcess::TerminalProcess(const CliOptions& options) {
    Program program(options);
    winsize size{.ws_row = 24, .ws_col = 100, .ws_xpixel = 0, .ws_ypixel = 0};
    int terminal = -1;
    pid_ = ::forkpty(&terminal, nullptr, nullptr, &size);
    if (pid_ < 0) throw std::runtime_error("forkpty failed");
    if (pid_ == 0) program.run();
    terminal_ = UniqueFd(terminal);
}

TerminalProcess::~TerminalProcess() {
    if (pid_ > 0) kill_and_reap(pid_);
}

void TerminalProcess::type(std::string_view keys) {
    while (!keys.empty()) {
        const ssize_t written = ::write(terminal_.value(), keys.data(), keys.size());
        if (written <= 0) throw std::runtime_error("the terminal is gone: " + ahead_);
        keys.remove_prefix(static_cast<std::size_t>(written));
    }
}

bool TerminalProcess::read_more(std::chrono::milliseconds wait_max) {
    pollfd poll{.fd = terminal_.value(), .events = POLLIN, .revents = 0};
    if (::poll(&poll, 1, static_cast<int>(wait_max.count())) != 1) return false;
    char bytes[4096];
    const ssize_t got = ::read(terminal_.value(), bytes, sizeof(bytes));
    if (got <= 0) return false;
    ahead_.append(bytes, static_cast<std::size_t>(got));
    return true;
}

std::string TerminalProcess::read_until(std::string_view mark, std::chrono::milliseconds wait_max) {
    const auto end = std::chrono::steady_clock::now() + wait_max;
    for (;;) {
        if (const std::size_t at = ahead_.find(mark); at != std::string::npos) {
            std::string taken = ahead_.substr(0, at + mark.size());
            ahead_.erase(0, at + mark.size());
            return taken;
        }
        const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
            end - std::chrono::steady_clock::now());
        if (left.count() <= 0 || !read_more(left)) {
            throw std::runtime_error("'" + std::string(mark) + "' did not come: " + ahead_);
        }
    }
}

int TerminalProcess::wait(std::chrono::milliseconds wait_max) {
    const auto code = wait_for(pid_, wait_max);
    if (!code) throw std::runtime_error("hearth did not end: " + ahead_);
    pid_ = -1;
    return *code;
}

}  // namespace hearth::system_test
