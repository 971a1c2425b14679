// hearth-cache-replay: what the first level of the cache keeps under each algorithm, on one
// recorded replay: keys by Zipf's law, answers of 1 to 50 kB (log-normal) that took as long as
// their tokens do on one of three models, six tenths of all keys asked for only once. Prints for
// each algorithm the share of hits, of their bytes and of the time they save, and nanoseconds a
// look-up takes.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <random>
#include <vector>

#include "base/format.h"
#include "cache/memory.h"

namespace hearth::bench {
namespace {

using cache::Algorithm;
using std::chrono::microseconds;

struct Options {
    double alpha = 1.0;
    double share = 0.1;  // of the bytes of all answers that the memory holds
    std::size_t keys = 20'000;
    std::size_t requests = 400'000;
    std::uint64_t seed = 1;
    std::string label = "replay";
    std::string record;
};

struct Answer {
    cache::Key key;
    std::size_t bytes = 0;
    microseconds took{};
};

struct Trace {
    std::vector<Answer> answers;
    std::vector<std::uint32_t> requests;  // places in answers
    double bytes = 0;                     // of all answers
};

std::vector<double> zipf_sums(std::size_t count, double alpha) {
    std::vector<double> sums(count);
    double sum = 0;
    for (std::size_t i = 0; i < count; ++i) {
        sum += std::pow(static_cast<double>(i + 1), -alpha);
        sums[i] = sum;
    }
    return sums;
}

Answer make_answer(std::mt19937_64& random) {
    constexpr double kMsPerToken[] = {2, 10, 40};
    constexpr double kBytesPerToken = 4;
    std::lognormal_distribution<double> size(std::log(4000.0), 1.0);
    Answer answer;
    for (std::size_t i = 0; i < answer.key.digest.size(); i += 8) {
        const std::uint64_t word = random();
        std::memcpy(&answer.key.digest[i], &word, sizeof word);
    }
    answer.bytes = static_cast<std::size_t>(std::clamp(size(random), 1000.0, 50'000.0));
    const double tokens = static_cast<double>(answer.bytes) / kBytesPerToken;
    answer.took = microseconds(std::llround(1000 * tokens * kMsPerToken[random() % 3]));
    return answer;
}

Trace make_trace(const Options& options) {
    std::mt19937_64 random(options.seed);
    const std::vector<double> sums = zipf_sums(options.keys, options.alpha);
    std::uniform_real_distribution<double> uniform;
    // Six tenths of the keys: for each that may come again one and a half that do not.
    const std::size_t once = options.keys * 3 / 2;
    Trace trace;
    for (std::size_t i = 0; i < options.keys + once; ++i) {
        trace.answers.push_back(make_answer(random));
        trace.bytes += static_cast<double>(trace.answers.back().bytes);
    }
    for (std::size_t i = 0; i < options.requests - once; ++i) {
        const double at = uniform(random) * sums.back();
        trace.requests.push_back(
            static_cast<std::uint32_t>(std::ranges::lower_bound(sums, at) - sums.begin()));
    }
    for (std::size_t i = 0; i < once; ++i) {
        trace.requests.push_back(static_cast<std::uint32_t>(options.keys + i));
    }
    std::ranges::shuffle(trace.requests, random);
    return trace;
}

struct Outcome {
    double hits = 0;
    double bytes = 0;
    double saved = 0;
    double ns = 0;
};

cache::EntryPtr entry_of(const Answer& answer) {
    auto entry = std::make_shared<cache::Entry>();
    entry->payload.assign(answer.bytes, 'x');
    entry->expires = cache::Moment::max();
    entry->took = answer.took;
    return entry;
}

Outcome replay(const Trace& trace, const Options& options, Algorithm algorithm) {
    cache::Memory memory(static_cast<std::size_t>(trace.bytes * options.share), algorithm);
    double hits = 0, hit_bytes = 0, all_bytes = 0, saved = 0, all_time = 0;
    std::chrono::steady_clock::duration spent{};
    const cache::Moment when = cache::now();
    for (const std::uint32_t place : trace.requests) {
        const Answer& answer = trace.answers[place];
        const auto start = std::chrono::steady_clock::now();
        const bool hit = memory.find(answer.key, when) != nullptr;
        spent += std::chrono::steady_clock::now() - start;
        all_bytes += static_cast<double>(answer.bytes);
        all_time += static_cast<double>(answer.took.count());
        if (!hit) {
            memory.insert(answer.key, entry_of(answer));
            continue;
        }
        ++hits;
        hit_bytes += static_cast<double>(answer.bytes);
        saved += static_cast<double>(answer.took.count());
    }
    const auto count = static_cast<double>(trace.requests.size());
    return {.hits = 100 * hits / count,
            .bytes = 100 * hit_bytes / all_bytes,
            .saved = 100 * saved / all_time,
            .ns = std::chrono::duration<double, std::nano>(spent).count() / count};
}

void run(const Options& options) {
    constexpr std::pair<const char*, Algorithm> kAlgorithms[] = {
        {"s3fifo", Algorithm::S3Fifo}, {"wtinylfu", Algorithm::WTinyLfu}, {"lru", Algorithm::Lru}};
    const Trace trace = make_trace(options);
    std::string lines;
    for (const auto& [name, algorithm] : kAlgorithms) {
        const Outcome outcome = replay(trace, options, algorithm);
        for (const auto& [metric, value] :
             {std::pair("hit_percent", outcome.hits), std::pair("byte_hit_percent", outcome.bytes),
              std::pair("saved_percent", outcome.saved), std::pair("lookup_ns", outcome.ns)}) {
            lines += format("{}-{}.{}\t{:.6g}\n", options.label, name, metric, value);
        }
    }
    std::fputs(lines.c_str(), stdout);
    if (!options.record.empty()) std::ofstream(options.record, std::ios::app) << lines;
}

}  // namespace
}  // namespace hearth::bench

int main(int argc, char** argv) {
    hearth::bench::Options options;
    CLI::App app("What the memory level of the cache keeps, by algorithm");
    app.add_option("--alpha", options.alpha, "exponent of Zipf's law")->capture_default_str();
    app.add_option("--share", options.share, "memory as a share of all bytes")
        ->capture_default_str();
    app.add_option("--keys", options.keys, "keys that come again")->capture_default_str();
    app.add_option("--requests", options.requests)->capture_default_str();
    app.add_option("--seed", options.seed)->capture_default_str();
    app.add_option("--label", options.label)->capture_default_str();
    app.add_option("--record", options.record, "file to append the measurements to");
    CLI11_PARSE(app, argc, argv);
    hearth::bench::run(options);
    return 0;
}
