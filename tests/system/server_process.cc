#include "server_process.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <fstream>
#include <optional>
#include <sstream>
#include <stdexcept>
#include <thread>

extern char** environ;

namespace hearth::system_test {
namespace {

namespace fs = std::filesystem;
constexpr auto kReadyWait = std::chrono::seconds(60);

std::vector<char*> pointers(std::vector<std::string>& texts) {
    std::vector<char*> out;
    for (std::string& text : texts) out.push_back(text.data());
    out.push_back(nullptr);
    return out;
}

struct Spawn {
    std::vector<std::string> arguments;
    std::vector<std::string> environment;
    int output = -1;
    fs::path errors;
};

pid_t spawn_hearth(Spawn spawn) {
    spawn.arguments.insert(spawn.arguments.begin(), HEARTH_BINARY_DIR "/hearth");
    // The first of equal names counts. What else is on this machine must not decide a test.
    // And tests that ask the same again mean the model, where they do not set this themselves.
    for (const char* setting : {"HEARTH_MODELS__OLLAMA_STORE=false",
                                "HEARTH_MODELS__HUB_CACHE=false", "HEARTH_CACHE__MEMORY_MIB=0"})
        spawn.environment.emplace_back(setting);
    for (char** entry = environ; *entry != nullptr; ++entry) spawn.environment.emplace_back(*entry);
    posix_spawn_file_actions_t actions;
    ::posix_spawn_file_actions_init(&actions);
    ::posix_spawn_file_actions_adddup2(&actions, spawn.output, STDOUT_FILENO);
    ::posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, spawn.errors.c_str(),
                                       O_WRONLY | O_CREAT | O_APPEND, 0600);
    pid_t pid = -1;
    const int failure =
        ::posix_spawn(&pid, spawn.arguments[0].c_str(), &actions, nullptr,
                      pointers(spawn.arguments).data(), pointers(spawn.environment).data());
    ::posix_spawn_file_actions_destroy(&actions);
    if (failure != 0) throw std::runtime_error(spawn.arguments[0] + ": " + std::strerror(failure));
    return pid;
}

// Field `number` (from 3 on) of /proc/PID/stat, see proc(5); empty when the process is gone.
std::string stat_field(pid_t pid, int number) {
    const std::string text = read_file("/proc/" + std::to_string(pid) + "/stat");
    const std::size_t name_end = text.rfind(')');
    if (name_end == std::string::npos) return {};
    std::istringstream fields(text.substr(name_end + 2));
    std::string value;
    for (int i = 3; i <= number; ++i) fields >> value;
    return value;
}

}  // namespace

std::string read_file(const std::filesystem::path& path) {
    std::ostringstream text;
    text << std::ifstream(path, std::ios::binary).rdbuf();
    return text.str();
}

std::optional<int> wait_for(pid_t pid, std::chrono::milliseconds wait_max) {
    int status = 0;
    if (!eventually(wait_max, [&] { return ::waitpid(pid, &status, WNOHANG) != 0; }))
        return std::nullopt;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

fs::path make_folder() {
    std::string path = (fs::temp_directory_path() / "hearth-test-XXXXXX").string();
    if (::mkdtemp(path.data()) == nullptr) throw std::runtime_error("mkdtemp failed");
    return path;
}

void sleep_briefly() { std::this_thread::sleep_for(std::chrono::milliseconds(5)); }

bool is_alive(pid_t pid) {
    const std::string state = stat_field(pid, 3);
    return !state.empty() && state != "Z";
}

ServerProcess::ServerProcess(const StartOptions& options) : folder_(make_folder()) {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) throw std::runtime_error("pipe2 failed");
    output_ = UniqueFd(ends[0]);
    UniqueFd write_end(ends[1]);
    Spawn spawn{.arguments = {"serve", "--listen", "127.0.0.1:0", "--data-dir", folder_ / "data"},
                .environment = options.environment,
                .output = write_end.value(),
                .errors = folder_ / "log"};
    spawn.arguments.insert(spawn.arguments.end(), options.arguments.begin(),
                           options.arguments.end());
    pid_ = spawn_hearth(std::move(spawn));
    write_end.reset();
    read_ready_line();
}

ServerProcess::~ServerProcess() { clean_up(); }

void ServerProcess::clean_up() {
    if (pid_ > 0) {
        ::kill(pid_, SIGKILL);
        ::waitpid(pid_, nullptr, 0);
    }
    std::error_code ignored;
    fs::remove_all(folder_, ignored);
}

void ServerProcess::read_ready_line() {
    const auto end = std::chrono::steady_clock::now() + kReadyWait;
    pollfd poll{.fd = output_.value(), .events = POLLIN, .revents = 0};
    for (char byte = 0; byte != '\n'; ready_line_ += byte) {
        const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
            end - std::chrono::steady_clock::now());
        if (left.count() <= 0 || ::poll(&poll, 1, static_cast<int>(left.count())) != 1 ||
            ::read(output_.value(), &byte, 1) != 1) {
            const std::string text = log();
            clean_up();
            throw std::runtime_error("hearth serve did not become ready: " + text);
        }
    }
    ready_line_.pop_back();
    const std::size_t scheme = ready_line_.find("http://");
    if (scheme != std::string::npos) address_ = ready_line_.substr(scheme + 7);
}

std::string ServerProcess::log() const { return read_file(folder_ / "log"); }

std::vector<pid_t> ServerProcess::worker_pids() const {
    std::vector<pid_t> pids;
    for (const auto& entry : fs::directory_iterator("/proc")) {
        const std::string name = entry.path().filename();
        if (name.find_first_not_of("0123456789") != std::string::npos) continue;
        const pid_t pid = std::stoi(name);
        if (stat_field(pid, 4) == std::to_string(pid_) && is_alive(pid)) pids.push_back(pid);
    }
    return pids;
}

std::uint64_t ServerProcess::resident_bytes() const {
    return std::stoull(stat_field(pid_, 24)) * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
}

std::uint64_t ServerProcess::cpu_ms() const {
    const std::uint64_t ticks =
        std::stoull(stat_field(pid_, 14)) + std::stoull(stat_field(pid_, 15));
    return ticks * 1000 / static_cast<std::uint64_t>(::sysconf(_SC_CLK_TCK));
}

void ServerProcess::signal(int number) const { ::kill(pid_, number); }

int ServerProcess::wait(std::chrono::milliseconds wait_max) {
    const auto code = wait_for(pid_, wait_max);
    if (!code) throw std::runtime_error("hearth serve did not end: " + log());
    pid_ = -1;
    return *code;
}

Ended run_hearth(const std::vector<std::string>& arguments, std::chrono::milliseconds wait_max) {
    const fs::path folder = make_folder();
    UniqueFd output(::open((folder / "output").c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    const pid_t pid = spawn_hearth({.arguments = arguments,
                                    .environment = {},
                                    .output = output.value(),
                                    .errors = folder / "errors"});
    const auto code = wait_for(pid, wait_max);
    if (!code) {
        ::kill(pid, SIGKILL);
        ::waitpid(pid, nullptr, 0);
    }
    Ended ended{.code = code.value_or(-1),
                .output = read_file(folder / "output"),
                .errors = read_file(folder / "errors")};
    fs::remove_all(folder);
    return ended;
}

}  // namespace hearth::system_test
