#include "encoder/calibration.h"

#include <algorithm>
#include <atomic>
#include <thread>
#include <vector>

#include "encoder/session.h"

namespace hearth::encoder {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t kTexts = 4;
constexpr std::uint32_t kTokens = 64;
// More threads must win by this much: fewer threads leave more room for tokenizing and serving.
constexpr double kWorthwhile = 1.05;

struct Trial {
    std::vector<std::int32_t> ids;
    std::vector<std::uint32_t> lengths;
    std::atomic<bool> stop{false};
    std::atomic<std::size_t> ready{0};
    std::atomic<std::size_t> passes{0};
};

void run_passes(const Forward& forward, std::size_t threads, std::size_t sessions, Trial& trial) {
    Session session(forward, threads);
    std::vector<float> out(trial.lengths.size() * forward.config().hidden);
    session.run(trial.ids, trial.lengths, out);
    trial.ready.fetch_add(1);
    while (trial.ready.load() < sessions) std::this_thread::yield();
    while (!trial.stop.load(std::memory_order_relaxed)) {
        session.run(trial.ids, trial.lengths, out);
        trial.passes.fetch_add(1, std::memory_order_relaxed);
    }
}

// Passes per second over all sessions of the arrangement.
double measure(const Forward& forward, const Arrangement& tried, std::chrono::milliseconds time) {
    Trial trial;
    const auto tokens =
        static_cast<std::uint32_t>(std::min<std::size_t>(kTokens, forward.config().tokens_max));
    trial.ids.resize(kTexts * tokens);
    for (std::size_t i = 0; i < trial.ids.size(); ++i) {
        trial.ids[i] = static_cast<std::int32_t>(i * 97 % forward.config().vocabulary);
    }
    trial.lengths.assign(kTexts, tokens);
    std::vector<std::jthread> threads;
    for (std::size_t s = 0; s < tried.sessions; ++s) {
        threads.emplace_back([&] { run_passes(forward, tried.threads, tried.sessions, trial); });
    }
    while (trial.ready.load() < tried.sessions) std::this_thread::yield();
    const auto begin = Clock::now();
    const std::size_t before = trial.passes.load();
    std::this_thread::sleep_for(time);
    const std::size_t after = trial.passes.load();
    const double seconds = std::chrono::duration<double>(Clock::now() - begin).count();
    trial.stop = true;
    return static_cast<double>(after - before) / seconds;
}

std::vector<Arrangement> candidates(const Arrangement& given, std::size_t cpus) {
    std::vector<Arrangement> list;
    const auto fits = [&](std::size_t sessions, std::size_t threads) {
        if (given.sessions != 0) sessions = std::min(given.sessions, cpus);
        if (given.threads != 0) threads = std::min(given.threads, cpus);
        if (sessions == 0 || threads == 0 || sessions * threads > cpus) return;
        const auto same = [&](const Arrangement& a) {
            return a.sessions == sessions && a.threads == threads;
        };
        if (std::ranges::none_of(list, same)) list.push_back({sessions, threads});
    };
    for (const std::size_t used : {cpus, cpus / 2}) {
        for (const std::size_t threads : {1UZ, 2UZ, 4UZ}) fits(used / threads, threads);
        if (given.sessions != 0) fits(given.sessions, used / given.sessions);
        if (given.threads != 0) fits(used / given.threads, given.threads);
    }
    if (list.empty()) {
        const std::size_t sessions = std::clamp<std::size_t>(given.sessions, 1, cpus);
        list.push_back({sessions, std::clamp<std::size_t>(given.threads, 1, cpus / sessions)});
    }
    return list;
}

}  // namespace

Arrangement calibrate(const Forward& forward, Arrangement given, std::size_t cpus_max,
                      std::chrono::milliseconds time_max) {
    const auto list = candidates(given, std::max<std::size_t>(1, cpus_max));
    if (list.size() == 1) return list.front();
    const auto deadline = Clock::now() + time_max;
    const auto each = std::chrono::duration_cast<std::chrono::milliseconds>(
        time_max / (2 * static_cast<int>(list.size())));
    Arrangement best = list.front();
    double best_rate = 0;
    for (const Arrangement& tried : list) {
        if (best_rate > 0 && Clock::now() + each > deadline) break;
        const double rate = measure(forward, tried, each);
        if (rate > best_rate * kWorthwhile) {
            best = tried;
            best_rate = rate;
        }
    }
    return best;
}

}  // namespace hearth::encoder
