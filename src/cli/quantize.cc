#include <CLI/CLI.hpp>
#include <algorithm>
#include <boost/asio/io_context.hpp>
#include <boost/json.hpp>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <optional>

#include "backends/worker/llama_quantize.h"
#include "base/format.h"
#include "base/scratch_file.h"
#include "cli/commands.h"
#include "cli/interrupt.h"
#include "cli/output.h"
#include "cli/progress.h"
#include "models/catalogue.h"
#include "runtime/shard.h"
#include "runtime/task_group.h"
#include "server/config.h"

namespace hearth::cli {
namespace fs = std::filesystem;
namespace json = boost::json;
namespace {

constexpr auto kPerplexityTime = std::chrono::hours(24);

struct QuantizeOptions {
    std::string model;
    std::string type;
    std::string output;
    std::string importance;
    std::string text;
    std::string config;
    std::string data_dir;
    bool again = false;
    bool as_json = false;
};

struct Measured {
    std::uint64_t bytes = 0;
    std::optional<worker::PerplexityScore> perplexity;
};

template <class T>
Awaitable<void> keep(Awaitable<Result<T>> work, std::optional<Result<T>>& result) {
    result = co_await std::move(work);
}

// Runs to its end, or until Ctrl-C.
template <class T>
Result<T> run_here(boost::asio::io_context& io, Awaitable<Result<T>> work) {
    std::optional<Result<T>> result;
    runtime::TaskGroup group(io);
    group.spawn("quantize", keep(std::move(work), result));
    while (group.size() > 0) {
        io.restart();
        io.run_for(std::chrono::milliseconds(50));
        if (interrupted()) group.cancel_all();
    }
    if (!result || interrupted()) return fail(Code::Cancelled, "interrupted");
    return *std::move(result);
}

class Quantiser {
  public:
    Quantiser(const QuantizeOptions& options, const server::Config& config)
        : options_(options), programs_(config.llama.program().parent_path()) {}

    Result<void> run(const fs::path& input, const fs::path& output, std::string_view type) {
        TRY(const Measured before, measure(input));
        const ScratchFile partial(output.string() + ".partial");
        TRY_VOID(run_here(io_, quantise({.program = programs_ / "llama-quantize",
                                         .input = input,
                                         .output = partial.path(),
                                         .type = type,
                                         .importance = options_.importance,
                                         .again = options_.again,
                                         .threads = runtime::cpu_quota()})));
        std::error_code failed;
        fs::rename(partial.path(), output, failed);
        if (failed) {
            return fail(Code::Unavailable,
                        format("{} cannot be written: {}", output.string(), failed.message()));
        }
        TRY(const Measured after, measure(output));
        say(output, type, before, after);
        return {};
    }

  private:
    Awaitable<Result<void>> quantise(worker::Quantize what) {
        CO_TRY(const auto run, worker::LlamaQuantize::start(io_, what));
        std::optional<Progress> bar;
        for (;;) {
            auto ended = co_await run->wait(Deadline::after(std::chrono::milliseconds(100)));
            if (ended) co_return *std::move(ended);
            const worker::TensorCount tensors = run->progress();
            if (tensors.total == 0) continue;
            if (!bar) bar.emplace("tensors", tensors.total);
            bar->update(tensors.done);
        }
    }

    Result<Measured> measure(const fs::path& file) {
        std::error_code failed;
        Measured measured{.bytes = fs::file_size(file, failed), .perplexity = {}};
        if (failed) return fail(Code::NotFound, format("{}: {}", file.string(), failed.message()));
        if (options_.text.empty()) return measured;
        if (!options_.as_json) {
            std::fprintf(stderr, "perplexity of %s\n", file.filename().c_str());
        }
        TRY(measured.perplexity,
            run_here(io_, worker::run_llama_perplexity(io_,
                                                       {.program = programs_ / "llama-perplexity",
                                                        .model = file,
                                                        .text = options_.text,
                                                        .threads = runtime::cpu_quota()},
                                                       Deadline::after(kPerplexityTime))));
        return measured;
    }

    static json::object to_json(const Measured& measured) {
        json::object out{{"bytes", measured.bytes}};
        if (measured.perplexity) {
            out["perplexity"] = measured.perplexity->value;
            out["perplexity_error"] = measured.perplexity->error;
        }
        return out;
    }

    void say(const fs::path& output, std::string_view type, const Measured& before,
             const Measured& after) const {
        if (options_.as_json) {
            const json::object all{{"file", output.string()},
                                   {"type", type},
                                   {"before", to_json(before)},
                                   {"after", to_json(after)}};
            std::puts(json::serialize(all).c_str());
            return;
        }
        std::vector<std::vector<std::string>> rows = {
            {"", "BEFORE", std::string(type)},
            {"size", print_bytes(before.bytes), print_bytes(after.bytes)}};
        if (before.perplexity && after.perplexity) {
            rows.push_back({"perplexity", print(*before.perplexity), print(*after.perplexity)});
        }
        print_table(rows);
        std::printf("%s\n", output.c_str());
    }
    static std::string print(const worker::PerplexityScore& score) {
        return format("{:.4f} +/- {:.4f}", score.value, score.error);
    }

    const QuantizeOptions& options_;
    const fs::path programs_;
    boost::asio::io_context io_;
};

// A file of the caller's, or a model as the server would find it.
Result<fs::path> find_input(const QuantizeOptions& options, const server::Config& config) {
    std::error_code ignored;
    if (fs::is_regular_file(options.model, ignored)) return fs::path(options.model);
    const auto sources = config.model_sources();
    const auto catalogue = models::Catalogue::scan(sources);
    const models::Model* model = catalogue.find(options.model);
    if (model == nullptr || !model->gguf) {
        return fail(Code::NotFound,
                    format("{} is neither a GGUF file nor a model that has one", options.model));
    }
    return model->gguf->file;
}

// Where the server finds it, under the model's own name.
Result<fs::path> choose_output(const QuantizeOptions& options, const server::Config& config,
                               std::string_view type) {
    if (!options.output.empty()) return fs::path(options.output);
    std::string stem = fs::path(options.model).filename().string();
    if (stem.ends_with(".gguf")) stem.resize(stem.size() - std::string_view(".gguf").size());
    std::ranges::replace(stem, ':', '-');
    const fs::path folder = config.data_dir() / "models";
    std::error_code failed;
    fs::create_directories(folder, failed);
    if (failed) {
        return fail(Code::Unavailable,
                    format("{} cannot be made: {}", folder.string(), failed.message()));
    }
    return folder / format("{}-{}.gguf", stem, type);
}

Result<void> quantize(const QuantizeOptions& options) {
    const std::string_view type = worker::quantisation_named(options.type);
    if (type.empty()) {
        return fail(Code::InvalidArgument, format("there is no type {}; choose one of {}",
                                                  options.type, worker::quantisations()));
    }
    TRY(auto config, server::load_config(options.config, server::hearth_environment()));
    if (!options.data_dir.empty()) config.server.data_dir = options.data_dir;
    TRY(const fs::path input, find_input(options, config));
    TRY(const fs::path output, choose_output(options, config, type));
    std::error_code ignored;
    if (fs::exists(output, ignored)) {
        return fail(Code::InvalidArgument,
                    format("{} exists; --output names another file", output.string()));
    }
    const InterruptGuard guard;
    return Quantiser(options, config).run(input, output, type);
}

}  // namespace

void add_quantize(CLI::App& app, int& status) {
    auto options = std::make_shared<QuantizeOptions>();
    auto* command = app.add_subcommand("quantize", "Make a smaller GGUF file of a model");
    command->add_option("model", options->model, "GGUF file, or a model the server would find")
        ->required();
    command->add_option("type", options->type, "Q4_K_M, Q8_0, ...")->required();
    command->add_option("-o,--output", options->output,
                        "File to write (default: <data-dir>/models/NAME-TYPE.gguf)");
    command->add_option("--imatrix", options->importance, "Importance matrix (llama-imatrix)")
        ->check(CLI::ExistingFile);
    command->add_option("--text", options->text, "Measure the perplexity on this file, both times")
        ->check(CLI::ExistingFile);
    command->add_flag("--again", options->again, "Also of a model that is quantised already");
    command->add_option("-c,--config", options->config, "Configuration file (YAML)");
    command->add_option("-d,--data-dir", options->data_dir, "State and models");
    command->add_flag("--json", options->as_json, "Machine-readable output");
    command->footer(
        "Examples:\n"
        "  hearth quantize Qwen2.5-Coder-0.5B-F16.gguf Q4_K_M --text README.md\n"
        "  hearth quantize qwen3:0.6b Q4_0 --again -o /tmp/small.gguf\n"
        "Exit codes: 0 done, 1 the operation failed, 2 wrong usage.");
    command->callback([options, &status] { status = report_or_interrupt(quantize(*options)); });
}

}  // namespace hearth::cli
