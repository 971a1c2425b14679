// hearth-load: a closed-loop HTTP/1.1 load generator, the same for every server measured.
//
// Each connection sends its next request when the reply to the last has arrived. Requests are built
// before the clock starts and replies are framed but not parsed (the first one is, as a check), so
// that the generator costs little beside any server. It is written on plain sockets and shares no
// code with ours.
#include <CLI/CLI.hpp>
#include <atomic>
#include <cstdio>
#include <exception>
#include <fstream>
#include <mutex>
#include <thread>

#include "connection.h"
#include "process_usage.h"
#include "workload.h"

namespace hearth::bench {
namespace {

using Clock = std::chrono::steady_clock;

struct Options {
    std::string address;
    WorkloadOptions workload;
    std::size_t concurrency = 1;
    std::size_t threads = 1;
    double seconds = 0;      // 0: by passes
    std::size_t passes = 1;  // over the whole workload
    double warmup_seconds = 0;
    int pid = 0;  // of the server; its children are counted too
    bool stream = false;
    std::string label;
    std::string record;  // a file to append "label.metric<TAB>value" lines to
};

// What one phase did. Times in nanoseconds, one per request.
struct Tally {
    std::vector<std::uint64_t> latencies_ns;
    std::vector<std::uint64_t> first_ns;      // to the first byte of the body, or the first data
    std::vector<std::uint64_t> per_token_ns;  // from there to the end, over the other tokens
    std::uint64_t texts = 0;
    std::uint64_t tokens = 0;
};

// The requests still to be sent, shared by all threads.
class Queue {
  public:
    Queue(const std::vector<PreparedRequest>& requests, std::size_t sends_max,
          Clock::time_point end)
        : requests_(requests), sends_max_(sends_max), end_(end) {}

    const PreparedRequest* next() {
        const std::size_t index = sent_.fetch_add(1, std::memory_order_relaxed);
        if (index >= sends_max_ || Clock::now() >= end_) return nullptr;
        return &requests_[index % requests_.size()];
    }

  private:
    const std::vector<PreparedRequest>& requests_;
    const std::size_t sends_max_;
    const Clock::time_point end_;
    std::atomic<std::size_t> sent_{0};
};

Tally run_thread(const Options& options, Queue& queue, std::size_t connections) {
    Poller poller;
    std::vector<std::unique_ptr<Connection>> all;
    std::size_t busy = 0;
    Tally tally;
    for (std::size_t i = 0; i < connections; ++i) {
        const PreparedRequest* request = queue.next();
        if (request == nullptr) break;
        all.push_back(std::make_unique<Connection>(options.address, poller));
        all.back()->begin(*request);
        ++busy;
    }
    while (busy > 0) {
        for (Connection* connection : poller.wait(std::chrono::seconds(60))) {
            if (!connection->advance()) continue;
            const PreparedRequest& done = connection->request();
            tally.latencies_ns.push_back(connection->latency_ns());
            if (done.tokens > 1 && options.stream) {
                const std::uint64_t first = connection->first_ns();
                tally.first_ns.push_back(first);
                tally.per_token_ns.push_back((connection->latency_ns() - first) /
                                             (done.tokens - 1));
            }
            tally.texts += done.texts;
            tally.tokens += done.tokens;
            if (const PreparedRequest* request = queue.next())
                connection->begin(*request);
            else
                --busy;
        }
    }
    return tally;
}

Tally run_phase(const Options& options, const std::vector<PreparedRequest>& requests,
                std::size_t sends_max, double seconds) {
    const auto end = seconds > 0 ? Clock::now() + std::chrono::duration_cast<Clock::duration>(
                                                      std::chrono::duration<double>(seconds))
                                 : Clock::time_point::max();
    Queue queue(requests, sends_max, end);
    const std::size_t threads = std::min(options.threads, options.concurrency);
    std::vector<Tally> parts(threads);
    std::exception_ptr failure;
    std::mutex failure_mutex;
    {
        std::vector<std::jthread> workers;
        for (std::size_t t = 0; t < threads; ++t) {
            const std::size_t share =
                options.concurrency / threads + (t < options.concurrency % threads ? 1 : 0);
            workers.emplace_back([&, t, share] {
                try {
                    parts[t] = run_thread(options, queue, share);
                } catch (...) {
                    std::lock_guard lock(failure_mutex);
                    failure = std::current_exception();
                }
            });
        }
    }
    if (failure) std::rethrow_exception(failure);
    Tally total;
    const auto append = [](std::vector<std::uint64_t>& to, const std::vector<std::uint64_t>& from) {
        to.insert(to.end(), from.begin(), from.end());
    };
    for (Tally& part : parts) {
        append(total.latencies_ns, part.latencies_ns);
        append(total.first_ns, part.first_ns);
        append(total.per_token_ns, part.per_token_ns);
        total.texts += part.texts;
        total.tokens += part.tokens;
    }
    return total;
}

double percentile_ms(const std::vector<std::uint64_t>& sorted, double share) {
    const auto index =
        static_cast<std::size_t>(share * static_cast<double>(sorted.size() - 1) + 0.5);
    return static_cast<double>(sorted[index]) / 1e6;
}

void print_metrics(const Options& options,
                   const std::vector<std::pair<std::string, double>>& metrics) {
    std::ofstream record;
    if (!options.record.empty()) record.open(options.record, std::ios::app);
    for (const auto& [name, value] : metrics) {
        std::printf("%s.%s\t%.6g\n", options.label.c_str(), name.c_str(), value);
        if (record.is_open()) record << options.label << '.' << name << '\t' << value << '\n';
    }
}

void add_stream_metrics(Tally& tally, std::vector<std::pair<std::string, double>>& metrics) {
    if (tally.first_ns.empty()) return;
    std::ranges::sort(tally.first_ns);
    std::ranges::sort(tally.per_token_ns);
    metrics.emplace_back("ttft_p50_ms", percentile_ms(tally.first_ns, 0.50));
    metrics.emplace_back("ttft_p95_ms", percentile_ms(tally.first_ns, 0.95));
    metrics.emplace_back("tpot_p50_ms", percentile_ms(tally.per_token_ns, 0.50));
    metrics.emplace_back("tpot_p95_ms", percentile_ms(tally.per_token_ns, 0.95));
}

void measure(const Options& options) {
    const std::vector<PreparedRequest> requests =
        prepare_requests(options.workload, options.address);
    check_first_reply(options.address, requests.front(), options.workload);
    const auto unlimited = std::numeric_limits<std::size_t>::max();
    if (options.warmup_seconds > 0) run_phase(options, requests, unlimited, options.warmup_seconds);

    const std::size_t sends_max =
        options.seconds > 0 ? unlimited : options.passes * requests.size();
    const double server_before = options.pid > 0 ? tree_cpu_seconds(options.pid) : 0;
    const double client_before = own_cpu_seconds();
    const auto start = Clock::now();
    Tally tally = run_phase(options, requests, sends_max, options.seconds);
    const double wall = std::chrono::duration<double>(Clock::now() - start).count();
    const double client_cpu = own_cpu_seconds() - client_before;
    const double server_cpu = options.pid > 0 ? tree_cpu_seconds(options.pid) - server_before : 0;
    if (tally.latencies_ns.empty()) throw std::runtime_error("no request was completed");

    std::ranges::sort(tally.latencies_ns);
    const auto count = static_cast<double>(tally.latencies_ns.size());
    std::vector<std::pair<std::string, double>> metrics = {
        {"requests_per_s", count / wall},
        {"p50_ms", percentile_ms(tally.latencies_ns, 0.50)},
        {"p95_ms", percentile_ms(tally.latencies_ns, 0.95)},
        {"p99_ms", percentile_ms(tally.latencies_ns, 0.99)},
        {"load_cpu_share", client_cpu / wall},
    };
    if (options.pid > 0) {
        metrics.emplace_back("cpu_us_per_request", server_cpu * 1e6 / count);
        metrics.emplace_back("resident_mib",
                             static_cast<double>(tree_resident_bytes(options.pid)) / (1 << 20));
    }
    if (tally.texts > 0) {
        metrics.emplace_back("texts_per_s", static_cast<double>(tally.texts) / wall);
        metrics.emplace_back("tokens_per_s", static_cast<double>(tally.tokens) / wall);
        if (options.pid > 0)
            metrics.emplace_back("cpu_ms_per_text",
                                 server_cpu * 1e3 / static_cast<double>(tally.texts));
    }
    add_stream_metrics(tally, metrics);
    print_metrics(options, metrics);
}

void add_options(CLI::App& app, Options& options) {
    app.add_option("--address", options.address, "HOST:PORT or unix:PATH")->required();
    app.add_option("--path", options.workload.path, "request target")->required();
    app.add_option("--texts", options.workload.texts_file,
                   "lines of {\"text\",\"tokens\"}: POST them to an embeddings route");
    app.add_option("--shape", options.workload.shape, "openai, ollama or tei");
    app.add_option("--model", options.workload.model, "model named in each request");
    app.add_option("--encoding", options.workload.encoding, "base64 or float (openai)");
    app.add_option("--batch", options.workload.batch, "texts per request");
    app.add_option("--body", options.workload.body_file, "POST this file instead; without it: GET");
    app.add_option("--bodies", options.workload.bodies_file, "POST the lines of this file in turn");
    app.add_option("--tokens", options.workload.tokens, "tokens of each answer to --bodies");
    app.add_flag("--stream", options.stream, "answers are streams: measure first and later tokens");
    app.add_option("--concurrency", options.concurrency)->check(CLI::Range(1, 20'000));
    app.add_option("--threads", options.threads)->check(CLI::Range(1, 256));
    app.add_option("--seconds", options.seconds, "how long; without it: by passes");
    app.add_option("--passes", options.passes, "times over the whole workload");
    app.add_option("--warmup", options.warmup_seconds, "seconds before the clock starts");
    app.add_option("--pid", options.pid, "server process whose CPU time is read");
    app.add_option("--label", options.label, "name put before each metric");
    app.add_option("--record", options.record, "file to append the metrics to");
}

}  // namespace
}  // namespace hearth::bench

int main(int argc, char** argv) {
    hearth::bench::Options options;
    CLI::App app("hearth-load: closed-loop HTTP/1.1 load, the same for every server measured");
    hearth::bench::add_options(app, options);
    CLI11_PARSE(app, argc, argv);
    try {
        hearth::bench::measure(options);
    } catch (const std::exception& error) {
        std::fprintf(stderr, "hearth-load: %s\n", error.what());
        return 1;
    }
    return 0;
}
