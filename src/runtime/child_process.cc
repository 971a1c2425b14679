#include "runtime/child_process.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cerrno>
#include <condition_variable>
#include <cstring>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

#include "base/format.h"
#include "base/unique_fd.h"

extern char** environ;

namespace hearth::runtime {
namespace {

namespace asio = boost::asio;

constexpr int kLifeLineFd = 3;
constexpr int kReportFd = 4;
constexpr int kFdFloor = 16;  // ours are moved above what the child renumbers
constexpr std::size_t kLineBytesMax = 4096;
constexpr std::size_t kDrainBytesMax = 1 << 20;

Error system_error(std::string_view what) {
    return {.code = Code::Internal, .message = format("{}: {}", what, std::strerror(errno))};
}

struct Pipe {
    UniqueFd read;
    UniqueFd write;
};

Result<UniqueFd> above_floor(int fd) {
    UniqueFd low(fd);
    UniqueFd high(::fcntl(fd, F_DUPFD_CLOEXEC, kFdFloor));
    if (!high) return fail(system_error("cannot duplicate a descriptor"));
    return high;
}

Result<Pipe> make_pipe() {
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0) return fail(system_error("cannot make a pipe"));
    Pipe pipe;
    auto read = above_floor(ends[0]);
    auto write = above_floor(ends[1]);
    if (!read) return fail(std::move(read).error());
    if (!write) return fail(std::move(write).error());
    pipe.read = *std::move(read);
    pipe.write = *std::move(write);
    return pipe;
}

// Everything the new process needs, laid out before fork(): between fork and exec only
// async-signal-safe calls are allowed.
struct Plan {
    std::string program;
    std::vector<std::string> words;      // argv, with the program first
    std::vector<std::string> variables;  // the whole environment
    std::vector<char*> argv;
    std::vector<char*> envp;
    UniqueFd null;
    Pipe life_line, out, err, report;
    pid_t parent = 0;
};

std::string_view name_of(std::string_view variable) {
    return variable.substr(0, variable.find('='));
}

std::vector<std::string> merge_environment(const std::vector<std::string>& added) {
    std::vector<std::string> merged;
    for (char** variable = environ; variable != nullptr && *variable != nullptr; ++variable) {
        bool replaced = false;
        for (const std::string& other : added) replaced |= name_of(other) == name_of(*variable);
        if (!replaced) merged.emplace_back(*variable);
    }
    merged.insert(merged.end(), added.begin(), added.end());
    return merged;
}

Result<std::unique_ptr<Plan>> make_plan(const ChildOptions& options) {
    auto plan = std::make_unique<Plan>();
    plan->program = options.program;
    plan->words.push_back(options.program);
    plan->words.insert(plan->words.end(), options.arguments.begin(), options.arguments.end());
    plan->variables = merge_environment(options.environment);
    for (std::string& word : plan->words) plan->argv.push_back(word.data());
    for (std::string& variable : plan->variables) plan->envp.push_back(variable.data());
    plan->argv.push_back(nullptr);
    plan->envp.push_back(nullptr);
    TRY(plan->null, above_floor(::open("/dev/null", O_RDONLY | O_CLOEXEC)));
    TRY(plan->life_line, make_pipe());
    TRY(plan->out, make_pipe());
    TRY(plan->err, make_pipe());
    TRY(plan->report, make_pipe());
    plan->parent = ::getpid();
    return plan;
}

[[noreturn]] void report_and_exit(const Plan& plan) {
    const int error = errno;
    [[maybe_unused]] const ssize_t written =
        ::write(plan.report.write.value(), &error, sizeof(error));
    ::_exit(127);
}

// In the child. Signals are blocked here; exec starts with none blocked and none ignored.
[[noreturn]] void become(const Plan& plan) {
    if (::setpgid(0, 0) != 0) report_and_exit(plan);
    if (::prctl(PR_SET_PDEATHSIG, SIGKILL) != 0) report_and_exit(plan);
    if (::getppid() != plan.parent) ::_exit(127);  // it died before the line above
    const bool renumbered = ::dup2(plan.null.value(), STDIN_FILENO) >= 0 &&
                            ::dup2(plan.out.write.value(), STDOUT_FILENO) >= 0 &&
                            ::dup2(plan.err.write.value(), STDERR_FILENO) >= 0 &&
                            ::dup2(plan.life_line.read.value(), kLifeLineFd) >= 0 &&
                            ::dup3(plan.report.write.value(), kReportFd, O_CLOEXEC) >= 0;
    if (!renumbered) report_and_exit(plan);
    ::syscall(SYS_close_range, kReportFd + 1, ~0U, 0);
    for (int number = 1; number < NSIG; ++number) ::signal(number, SIG_DFL);
    sigset_t none;
    ::sigemptyset(&none);
    ::sigprocmask(SIG_SETMASK, &none, nullptr);
    ::execve(plan.program.c_str(), plan.argv.data(), plan.envp.data());
    const int error = errno;
    [[maybe_unused]] const ssize_t written = ::write(kReportFd, &error, sizeof(error));
    ::_exit(127);
}

// Forks, and waits until exec has happened or failed.
Result<pid_t> spawn(Plan& plan) {
    sigset_t all;
    sigset_t before;
    ::sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, &before);
    const pid_t pid = ::fork();
    if (pid == 0) become(plan);
    ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
    if (pid < 0) return fail(system_error("cannot fork"));
    plan.report.write.reset();
    int error = 0;
    ssize_t got = 0;
    do {
        got = ::read(plan.report.read.value(), &error, sizeof(error));
    } while (got < 0 && errno == EINTR);
    if (got == 0) return pid;
    ::waitpid(pid, nullptr, 0);
    errno = error;
    Error failure = system_error(format("cannot run {}", plan.program));
    if (error == ENOENT || error == EACCES || error == ENOEXEC) failure.code = Code::NotFound;
    return fail(std::move(failure));
}

// PR_SET_PDEATHSIG fires when the *thread* that forked ends, so one thread that lives as long as
// the process forks for everybody. It is never joined.
class Spawner {
  public:
    static Spawner& instance() {
        static Spawner* const spawner = new Spawner;
        return *spawner;
    }

    Result<pid_t> run(Plan& plan) {
        std::lock_guard one_at_a_time(turn_);
        std::unique_lock lock(mutex_);
        plan_ = &plan;
        changed_.notify_all();
        changed_.wait(lock, [&] { return answer_.has_value(); });
        return *std::exchange(answer_, std::nullopt);
    }

  private:
    Spawner() { std::thread(&Spawner::loop, this).detach(); }

    void loop() {
        ::pthread_setname_np(::pthread_self(), "spawner");
        std::unique_lock lock(mutex_);
        while (true) {
            changed_.wait(lock, [&] { return plan_ != nullptr; });
            answer_ = spawn(*std::exchange(plan_, nullptr));
            changed_.notify_all();
        }
    }

    std::mutex turn_;
    std::mutex mutex_;
    std::condition_variable changed_;
    Plan* plan_ = nullptr;
    std::optional<Result<pid_t>> answer_;
};

// Splits what a child prints into lines. Shard-local; kept alive by its pending read.
class LineReader : public std::enable_shared_from_this<LineReader> {
  public:
    using OnLine = std::function<void(std::string_view)>;

    LineReader(asio::io_context& io, UniqueFd fd, std::shared_ptr<OnLine> on_line)
        : descriptor_(io, fd.release()), on_line_(std::move(on_line)) {
        descriptor_.non_blocking(true);
    }

    // Waits for bytes but leaves them in the pipe until the handler runs: bytes of a read that has
    // completed and whose handler has not yet run would be out of drain()'s reach.
    void start() {
        descriptor_.async_wait(asio::posix::stream_descriptor::wait_read,
                               [self = shared_from_this()](boost::system::error_code error) {
                                   if (self->closed_) return;
                                   const ssize_t got = error ? 0 : self->read_piece();
                                   const bool empty = got < 0 && errno == EAGAIN;
                                   if (got <= 0 && !empty) return self->finish();
                                   self->start();
                               });
    }

    // Reads what is in the pipe now, for a child that has ended.
    void drain() {
        if (closed_) return;
        for (std::size_t total = 0; total < kDrainBytesMax;) {
            const ssize_t got = read_piece();
            if (got <= 0) break;
            total += static_cast<std::size_t>(got);
        }
        finish();
    }

    // Nobody listens any more, but a child that is still to end in order must not meet a closed
    // pipe.
    void mute() { on_line_ = std::make_shared<OnLine>(); }

    void close() {
        closed_ = true;
        descriptor_.close();
    }

  private:
    // 0 at the end of the stream, negative where nothing is there now.
    ssize_t read_piece() {
        std::array<char, kLineBytesMax> piece;
        ssize_t got = 0;
        do {
            got = ::read(descriptor_.native_handle(), piece.data(), piece.size());
        } while (got < 0 && errno == EINTR);
        if (got > 0) take({piece.data(), static_cast<std::size_t>(got)});
        return got;
    }

    void take(std::string_view rest) {
        while (!rest.empty()) {
            if (rest.front() == '\n') {
                emit();
                rest.remove_prefix(1);
                continue;
            }
            if (line_.size() == kLineBytesMax) emit();
            const std::size_t text =
                std::min({rest.find('\n'), rest.size(), kLineBytesMax - line_.size()});
            line_.append(rest.substr(0, text));
            rest.remove_prefix(text);
        }
    }

    void emit() {
        const std::shared_ptr<OnLine> on_line = on_line_;  // which may mute this reader
        if (*on_line) (*on_line)(line_);
        line_.clear();
    }

    void finish() {
        if (!line_.empty()) emit();
        close();
    }

    asio::posix::stream_descriptor descriptor_;
    std::shared_ptr<OnLine> on_line_;
    std::string line_;
    bool closed_ = false;
};

// What outlives the ChildProcess while operations end: descriptors, readers, the exit status.
struct Watch : std::enable_shared_from_this<Watch> {
    Watch(asio::io_context& io, pid_t pid_in, UniqueFd pidfd)
        : pid(pid_in), exit_descriptor(io, pidfd.release()), ended(io), grace_over(io) {
        ended.expires_at(asio::steady_timer::time_point::max());
    }

    void start() {
        for (const auto& reader : readers) reader->start();
        exit_descriptor.async_wait(asio::posix::stream_descriptor::wait_read,
                                   [self = shared_from_this()](boost::system::error_code error) {
                                       if (!error) self->reap();
                                   });
    }

    // The leader has ended. Its group is killed while its zombie still holds the group's number.
    void reap() {
        siginfo_t info{};
        ::waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOWAIT);
        ::kill(-pid, SIGKILL);
        ::waitpid(pid, nullptr, 0);
        if (info.si_code == CLD_EXITED) {
            status = ExitStatus{.code = info.si_status, .signal = 0};
        } else {
            status = ExitStatus{.code = -1, .signal = info.si_status};
        }
        exit_descriptor.close();
        life_line.reset();
        for (const auto& reader : readers) reader->drain();
        ended.cancel();
        grace_over.cancel();
    }

    // Nobody owns the child any more: the wait for its end, which keeps this alive, reaps it.
    void end_gently(std::chrono::milliseconds grace) {
        kill_group(SIGTERM);
        grace_over.expires_after(grace);
        grace_over.async_wait([self = shared_from_this()](boost::system::error_code error) {
            if (!error) self->kill_group(SIGKILL);
        });
    }

    void kill_group(int number) const {
        if (!status && ::kill(-pid, number) != 0) ::kill(pid, number);
    }

    const pid_t pid;
    asio::posix::stream_descriptor exit_descriptor;
    asio::steady_timer ended;
    asio::steady_timer grace_over;
    UniqueFd life_line;
    std::vector<std::shared_ptr<LineReader>> readers;
    std::optional<ExitStatus> status;
};

class Child final : public ChildProcess {
  public:
    Child(std::shared_ptr<Watch> watch, std::chrono::milliseconds grace)
        : watch_(std::move(watch)), grace_(grace) {}

    ~Child() override {
        const bool gently = !watch_->status && grace_.count() > 0;
        for (const auto& reader : watch_->readers) gently ? reader->mute() : reader->close();
        if (watch_->status) return;
        if (gently) {
            watch_->end_gently(grace_);
            return;
        }
        watch_->kill_group(SIGKILL);
        watch_->life_line.reset();
        abandon();
    }

    int pid() const override { return watch_->pid; }
    void signal(int number) override { watch_->kill_group(number); }
    bool has_ended() const override { return watch_->status.has_value(); }

    Awaitable<ExitStatus> wait() override {
        const std::shared_ptr<Watch> watch = watch_;
        if (!watch->status) co_await watch->ended.async_wait(asio::as_tuple(asio::use_awaitable));
        co_return watch->status.value_or(ExitStatus{});
    }

  private:
    // A killed process ends within milliseconds, unless the kernel has much of its memory to
    // return.
    void abandon() {
        pollfd ended{.fd = watch_->exit_descriptor.native_handle(), .events = POLLIN, .revents = 0};
        const bool soon = ::poll(&ended, 1, 50) > 0;
        watch_->exit_descriptor.close();
        watch_->ended.cancel();
        watch_->status = ExitStatus{.code = -1, .signal = SIGKILL};
        if (soon) {
            ::waitpid(watch_->pid, nullptr, 0);
        } else {
            std::thread([pid = watch_->pid] { ::waitpid(pid, nullptr, 0); }).detach();
        }
    }

    std::shared_ptr<Watch> watch_;
    const std::chrono::milliseconds grace_;
};

}  // namespace

Result<std::unique_ptr<ChildProcess>> ChildProcess::start(asio::io_context& io,
                                                          ChildOptions options) {
    TRY(const std::unique_ptr<Plan> plan, make_plan(options));
    TRY(const pid_t pid, Spawner::instance().run(*plan));
    UniqueFd pidfd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
    if (!pidfd) {
        Error error = system_error("cannot watch the child");
        ::kill(-pid, SIGKILL);
        ::waitpid(pid, nullptr, 0);
        return fail(std::move(error));
    }
    auto watch = std::make_shared<Watch>(io, pid, std::move(pidfd));
    watch->life_line = std::move(plan->life_line.write);
    const auto on_line = std::make_shared<LineReader::OnLine>(std::move(options.on_line));
    for (Pipe* pipe : {&plan->out, &plan->err}) {
        watch->readers.push_back(std::make_shared<LineReader>(io, std::move(pipe->read), on_line));
    }
    watch->start();
    return std::make_unique<Child>(std::move(watch), options.grace);
}

Awaitable<Result<ExitStatus>> end_of(ChildProcess& child) {
    const ExitStatus status = co_await child.wait();
    if (status.code < 0 && status.signal == 0) co_return fail(Code::Cancelled, "cancelled");
    co_return status;
}

}  // namespace hearth::runtime
