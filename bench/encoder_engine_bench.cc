#include <CLI/CLI.hpp>
#include <algorithm>
#include <atomic>
#include <boost/json.hpp>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <numeric>
#include <random>
#include <thread>

#include "base/format.h"
#include "encoder/calibration.h"
#include "encoder/cpu.h"
#include "encoder/precision.h"
#include "encoder/session.h"
#include "onednn_rate.h"
#include "tokens/tokenizer.h"

// The encoder engine alone: tokens/s and texts/s of the forward pass, where its time goes, and what
// share of oneDNN's own matrix product rate its linear layers reach. Tokenizing is not in the time.
namespace hearth::bench {
namespace {

namespace json = boost::json;
using Clock = std::chrono::steady_clock;
using Texts = std::vector<std::vector<std::int32_t>>;

constexpr std::size_t kBatchTokens = 4096;

struct Options {
    std::string model;
    std::string texts_file;  // lines of {"text": ...} or "..."
    std::size_t length = 0;  // instead: random texts of one length
    std::string precision = "auto";
    std::string label = "engine";
    std::size_t sessions = 0;
    std::size_t threads = 0;
    std::size_t rounds = 7;
    bool as_json = false;
    bool gemm = true;
};

struct Batch {
    std::vector<std::int32_t> ids;
    std::vector<std::uint32_t> lengths;
};

struct Measured {
    double best_s = 1e9;
    double median_s = 0;
    double gemm_macs_per_s = 0;  // oneDNN's, the median
    double gemm_share = 0;       // ours of oneDNN's, the median over the passes
    encoder::PhaseTimes phases;
};

template <class T>
T must(Result<T> result) {
    if (result) return *std::move(result);
    std::fprintf(stderr, "encoder-engine-bench: %s\n", result.error().message.c_str());
    std::exit(1);
}

Texts read_texts(const Options& options, const models::EncoderConfig& config) {
    Texts texts;
    if (options.texts_file.empty()) {
        std::mt19937 random(1);
        const std::size_t length = options.length > 0 ? options.length : 128;
        for (std::size_t i = 0; i < 4 * kBatchTokens / length; ++i) {
            auto& ids = texts.emplace_back(std::min(length, config.tokens_max));
            for (auto& id : ids) id = static_cast<std::int32_t>(random() % config.vocabulary);
        }
        return texts;
    }
    const auto tokenizer = must(tokens::Tokenizer::open(options.model));
    std::ifstream in(options.texts_file);
    for (std::string line; std::getline(in, line);) {
        const json::value value = json::parse(line);
        const auto& text = value.is_string() ? value.get_string() : value.at("text").as_string();
        auto& ids = texts.emplace_back();
        tokenizer->encode(std::string_view(text.data(), text.size()), ids);
        if (ids.size() > config.tokens_max) {
            ids.resize(config.tokens_max);
            ids.back() = tokenizer->sep_id();
        }
    }
    return texts;
}

// As the batcher does it: similar lengths together, by token budget.
std::vector<Batch> make_batches(Texts texts) {
    std::ranges::sort(texts, {}, [](const auto& ids) { return ids.size(); });
    std::vector<Batch> batches;
    for (const auto& ids : texts) {
        if (batches.empty() || batches.back().ids.size() + ids.size() > kBatchTokens) {
            batches.emplace_back();
        }
        batches.back().ids.insert(batches.back().ids.end(), ids.begin(), ids.end());
        batches.back().lengths.push_back(static_cast<std::uint32_t>(ids.size()));
    }
    return batches;
}

void run_batches(encoder::Session& session, const std::vector<Batch>& batches, std::size_t hidden,
                 std::atomic<std::size_t>& next) {
    std::vector<float> out;
    for (std::size_t b = 0; (b = next.fetch_add(1)) < batches.size();) {
        out.resize(std::max(out.size(), batches[b].lengths.size() * hidden));
        session.run(batches[b].ids, batches[b].lengths, out);
    }
}

double run_once(std::vector<std::unique_ptr<encoder::Session>>& sessions,
                const std::vector<Batch>& batches, std::size_t hidden) {
    std::atomic<std::size_t> next{0};
    const auto begin = Clock::now();
    {
        std::vector<std::jthread> threads;
        for (std::size_t s = 1; s < sessions.size(); ++s) {
            threads.emplace_back([&, s] { run_batches(*sessions[s], batches, hidden, next); });
        }
        run_batches(*sessions[0], batches, hidden, next);
    }
    return std::chrono::duration<double>(Clock::now() - begin).count();
}

// The fastest product oneDNN has for a precision: of large squares and of this model's own layers.
struct Yardstick {
    std::string type;
    GemmShape shape;
    double macs_per_s = 0;
};

Yardstick choose_yardstick(encoder::Precision precision, const models::EncoderConfig& config,
                           std::size_t threads) {
    const std::size_t h = config.hidden;
    const GemmShape shapes[] = {{1024, 1024, 1024},
                                {512, 3 * h, h},
                                {512, h, h},
                                {512, config.intermediate, h},
                                {512, h, config.intermediate}};
    std::vector<std::string> types = {"f32"};
    if (precision == encoder::Precision::Int8) types = {"u8s8", "s8s8"};
    if (precision == encoder::Precision::Bf16) types = {"bf16", "f32"};
    Yardstick best;
    for (const auto& type : types) {
        for (const GemmShape& shape : shapes) {
            const double rate = onednn_macs_per_s(type, shape, threads);
            if (rate > best.macs_per_s) best = {type, shape, rate};
        }
    }
    return best;
}

double median(std::vector<double> values) {
    std::ranges::sort(values);
    return values.empty() ? 0 : values[values.size() / 2];
}

double count_tokens(const std::vector<Batch>& batches) {
    double tokens = 0;
    for (const Batch& batch : batches) tokens += static_cast<double>(batch.ids.size());
    return tokens;
}

// Each pass between two of oneDNN's products, and one ratio per pass: others on the machine disturb
// both alike.
Measured measure(const Options& options, const encoder::Forward& forward,
                 const encoder::Arrangement& arrangement, encoder::Precision precision,
                 const std::vector<Batch>& batches) {
    const std::size_t hidden = forward.config().hidden;
    const std::size_t threads = arrangement.sessions * arrangement.threads;
    const double macs = count_tokens(batches) * static_cast<double>(forward.linear_macs());
    std::vector<std::unique_ptr<encoder::Session>> sessions;
    for (std::size_t s = 0; s < arrangement.sessions; ++s) {
        sessions.push_back(std::make_unique<encoder::Session>(forward, arrangement.threads));
    }
    run_once(sessions, batches, hidden);
    Yardstick yardstick;
    if (options.gemm) yardstick = choose_yardstick(precision, forward.config(), threads);
    const auto onednn = [&] {
        if (yardstick.macs_per_s == 0) return 0.0;
        return onednn_macs_per_s(yardstick.type, yardstick.shape, threads);
    };
    Measured measured;
    std::vector<double> seconds;
    std::vector<double> rates = {onednn()};
    std::vector<double> shares;
    for (std::size_t r = 0; r < options.rounds; ++r) {
        seconds.push_back(run_once(sessions, batches, hidden));
        rates.push_back(onednn());
        const double around = (rates[r] + rates[r + 1]) / 2;
        if (around > 0) shares.push_back(macs / seconds.back() / around);
    }
    measured.gemm_macs_per_s = median(std::move(rates));
    measured.gemm_share = median(std::move(shares));
    std::ranges::sort(seconds);
    measured.best_s = seconds.front();
    measured.median_s = seconds[seconds.size() / 2];
    std::vector<std::unique_ptr<encoder::Session>> one;
    one.push_back(std::make_unique<encoder::Session>(forward, 1));
    run_once(one, batches, hidden);
    one.front()->measure(&measured.phases);
    run_once(one, batches, hidden);
    return measured;
}

json::object phases_json(const encoder::PhaseTimes& p, double tokens) {
    const auto us = [tokens](std::uint64_t ns) { return static_cast<double>(ns) / 1e3 / tokens; };
    return {{"embed", us(p.embed_ns)},
            {"qkv", us(p.qkv_ns)},
            {"store", us(p.store_ns)},
            {"attention", us(p.attention_ns)},
            {"attention_out", us(p.attention_out_ns)},
            {"up", us(p.up_ns)},
            {"down", us(p.down_ns)},
            {"norm", us(p.norm_ns)},
            {"quantise", us(p.quantise_ns)},
            {"pool", us(p.pool_ns)}};
}

json::object report(const encoder::Forward& forward, const Measured& measured,
                    const std::vector<Batch>& batches) {
    const double tokens = count_tokens(batches);
    double texts = 0;
    for (const Batch& batch : batches) texts += static_cast<double>(batch.lengths.size());
    const double macs = tokens * static_cast<double>(forward.linear_macs());
    json::object out = {{"texts_per_s", texts / measured.median_s},
                        {"tokens_per_s", tokens / measured.median_s},
                        {"best_tokens_per_s", tokens / measured.best_s},
                        {"linear_gmacs_per_s", macs / measured.median_s / 1e9},
                        {"gemm_gmacs_per_s", measured.gemm_macs_per_s / 1e9}};
    if (measured.gemm_share > 0) out["gemm_percent"] = 100 * measured.gemm_share;
    out["phase_us_per_token"] = phases_json(measured.phases, tokens);
    return out;
}

void print(const Options& options, json::object values) {
    if (options.as_json) {
        values["label"] = options.label;
        std::puts(json::serialize(values).c_str());
        return;
    }
    const json::object phases = values["phase_us_per_token"].as_object();
    for (const auto& [name, value] : values) {
        if (!value.is_number()) continue;
        std::puts(format("{}.{}\t{:.3f}", options.label, std::string_view(name),
                         value.to_number<double>())
                      .c_str());
    }
    for (const auto& [name, value] : phases) {
        std::puts(format("{}.us_per_token.{}\t{:.3f}", options.label, std::string_view(name),
                         value.to_number<double>())
                      .c_str());
    }
}

int run(const Options& options) {
    const auto config = must(models::read_encoder_config(options.model));
    const encoder::Kernels& kernels = *encoder::supported_kernels().front();
    const auto precision =
        encoder::choose_precision(must(encoder::parse_precision(options.precision)), kernels);
    const auto forward = must(encoder::Forward::load(options.model, config, kernels,
                                                     encoder::numbers_for(precision, kernels)));
    const auto arrangement =
        encoder::calibrate(*forward, {options.sessions, options.threads}, encoder::usable_cpus(),
                           std::chrono::milliseconds(600));
    const auto batches = make_batches(read_texts(options, config));
    const Measured measured = measure(options, *forward, arrangement, precision, batches);
    json::object values = report(*forward, measured, batches);
    values["sessions"] = arrangement.sessions;
    values["threads"] = arrangement.threads;
    values["kernels"] = kernels.name;
    values["precision"] = encoder::to_string(precision);
    print(options, std::move(values));
    return 0;
}

}  // namespace
}  // namespace hearth::bench

int main(int argc, char** argv) {
    hearth::bench::Options options;
    CLI::App app("The encoder engine alone, beside oneDNN's matrix product rate");
    app.add_option("--model", options.model, "model folder")->required();
    app.add_option("--texts", options.texts_file, "lines of {\"text\": ...}");
    app.add_option("--length", options.length, "random texts of this many tokens instead");
    app.add_option("--precision", options.precision, "auto, fp32, bf16 or int8");
    app.add_option("--sessions", options.sessions, "0: calibrated");
    app.add_option("--threads", options.threads, "per session; 0: calibrated");
    app.add_option("--rounds", options.rounds, "repetitions")->check(CLI::Range(1, 1000));
    app.add_option("--label", options.label, "before each name");
    app.add_flag("--json", options.as_json, "one JSON object");
    app.add_flag("!--no-gemm", options.gemm, "leave oneDNN out");
    CLI11_PARSE(app, argc, argv);
    return hearth::bench::run(options);
}
