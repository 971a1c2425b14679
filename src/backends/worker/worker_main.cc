// hearth-worker: one model behind a Unix socket. Started and watched by hearth; runs by hand as
// well.
#include <CLI/CLI.hpp>
#include <string>

#include "backends/worker/worker_process.h"
#include "encoder/engine.h"
#include "telemetry/log.h"
#include "tokens/tokenizer.h"

namespace hearth::worker {
namespace {

struct Settings {
    std::string model;
    std::string precision = "auto";
    encoder::EngineOptions engine;
    WorkerServerOptions server;
};

void describe(CLI::App& app, Settings& settings) {
    app.add_option("--model", settings.model, "Folder of the model")->required();
    app.add_option("--socket", settings.server.socket, "Path of the socket to serve on")
        ->required();
    app.add_option("--precision", settings.precision, "auto, fp32, bf16 or int8")
        ->capture_default_str();
    app.add_option("--threads", settings.engine.threads, "Threads per session; 0: calibrated")
        ->capture_default_str();
    app.add_option("--sessions", settings.engine.sessions, "Sessions; 0: calibrated")
        ->capture_default_str();
    app.add_option("--batch-tokens", settings.server.batch.batch_tokens_max, "Tokens per batch")
        ->check(CLI::Range(1, 1 << 20))
        ->capture_default_str();
    app.add_option("--cpus", settings.engine.cpus_max, "Cores to use; 0: all it may")
        ->capture_default_str();
    app.add_option("--text-threads", settings.server.text_threads, "Tokenizing threads; 0: chosen")
        ->capture_default_str();
}

int run(Settings settings) {
    const auto precision = encoder::parse_precision(settings.precision);
    if (!precision) return refuse_model(precision.error());
    settings.engine.precision = *precision;
    const auto engine = encoder::Engine::open(settings.model, settings.engine);
    if (!engine) return refuse_model(engine.error());
    const auto tokenizer = tokens::Tokenizer::open(settings.model, (*engine)->config().lower_case);
    if (!tokenizer) return refuse_model(tokenizer.error());
    log::info("engine ready precision={} sessions={} threads={}",
              encoder::to_string((*engine)->precision()), (*engine)->sessions(),
              (*engine)->threads());
    return serve_until_told(**engine, **tokenizer, std::move(settings.server));
}

}  // namespace
}  // namespace hearth::worker

int main(int count, char** words) {
    hearth::worker::hold_life_line();
    hearth::log::configure("hearth-worker", hearth::log::Level::Info);
    CLI::App app{"hearth-worker: one embedding model behind a Unix socket"};
    hearth::worker::Settings settings;
    hearth::worker::describe(app, settings);
    CLI11_PARSE(app, count, words);
    return hearth::worker::run(std::move(settings));
}
