#include "backends/worker/worker_process.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <thread>
#include <utility>

#include "telemetry/log.h"

namespace hearth::worker {
namespace {

constexpr int kLifeLineFd = 3;
constexpr int kRefusedExit = 2;
constexpr std::chrono::milliseconds kGrace{4'000};

void watch_life_line() {
    pollfd line{.fd = kLifeLineFd, .events = POLLIN, .revents = 0};
    while (::poll(&line, 1, -1) < 0 && errno == EINTR) {
    }
    ::_exit(0);  // nobody is left to answer
}

sigset_t ending_signals() {
    sigset_t signals;
    ::sigemptyset(&signals);
    ::sigaddset(&signals, SIGTERM);
    ::sigaddset(&signals, SIGINT);
    return signals;
}

}  // namespace

void hold_life_line() {
    // Every thread inherits the mask, so that only sigwait() below receives these.
    const sigset_t signals = ending_signals();
    ::pthread_sigmask(SIG_BLOCK, &signals, nullptr);
    ::signal(SIGPIPE, SIG_IGN);
    struct stat status{};
    // Started by hand there is none.
    if (::fstat(kLifeLineFd, &status) != 0 || !S_ISFIFO(status.st_mode)) return;
    ::fcntl(kLifeLineFd, F_SETFD, FD_CLOEXEC);
    std::thread(watch_life_line).detach();
}

int serve_until_told(encoder::Engine& engine, const tokens::Tokenizer& tokenizer,
                     WorkerServerOptions options) {
    auto server = WorkerServer::start(engine, tokenizer, std::move(options));
    if (!server) {
        log::error("cannot serve reason=\"{}\"", server.error().message);
        return 1;
    }
    log::info("serving");
    const sigset_t signals = ending_signals();
    int number = 0;
    ::sigwait(&signals, &number);
    (*server)->stop(kGrace);
    return 0;
}

int refuse_model(const Error& error) {
    std::fprintf(stderr, "%s\n", error.message.c_str());
    return kRefusedExit;
}

}  // namespace hearth::worker
