// hearth-fetch: brings one model into a store. Started by hearth for each pull; runs by hand as
// well. Progress and errors are JSON lines on the standard output (progress.h), the exit code says
// how it ended (outcome.h).
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdlib>
#include <string>

#include "fetch/outcome.h"
#include "fetch/pull.h"
#include "fetch/stop.h"

namespace hearth::fetch {
namespace {

constexpr const char* kFooter =
    "Environment: HF_ENDPOINT another address of the Hugging Face hub, HF_TOKEN a token for it,\n"
    "SSL_CERT_FILE other certificates to trust, https_proxy and no_proxy.\n"
    "Exit codes: 0 done, 1 internal fault, 2 wrong name or usage, 3 not found, 4 unauthorized,\n"
    "5 no space, 6 digest mismatch, 7 unreachable, 8 bad registry, 9 busy, 10 store, 11 stopped.";

std::string variable(const char* name, std::string_view otherwise) {
    const char* value = std::getenv(name);
    return value != nullptr && *value != '\0' ? value : std::string(otherwise);
}

void describe(CLI::App& app, PullOptions& options) {
    app.add_option("--store", options.store, "Folder of the models, in Ollama's layout")
        ->required();
    app.add_option("--model", options.model, "[HOST/][NAMESPACE/]NAME[:TAG], as Ollama writes it")
        ->required();
    app.add_flag("--insecure", options.client.insecure, "Allow http to other machines");
    app.add_option("--parts", options.parts.parts, "Ranges of a large file fetched at a time")
        ->check(CLI::Range(1, 64))
        ->capture_default_str();
    app.set_version_flag("--version", "hearth-fetch " HEARTH_VERSION);
    app.footer(kFooter);
}

int run(const PullOptions& options) {
    Progress progress(STDOUT_FILENO);
    const auto done = pull(options, progress);
    if (done) return 0;
    progress.failed(done.error());
    return exit_code_of(failure_of(done.error()));
}

}  // namespace
}  // namespace hearth::fetch

int main(int count, char** words) {
    using namespace hearth::fetch;
    install_stop_handlers();
    CLI::App app{
        "hearth-fetch: brings a model from a registry or the Hugging Face hub into a store"};
    PullOptions options;
    describe(app, options);
    try {
        app.parse(count, words);
    } catch (const CLI::ParseError& error) {
        return app.exit(error) == 0 ? 0 : exit_code_of(Failure::Invalid);
    }
    options.client.stopped = stop_requested;
    options.hub_endpoint = variable("HF_ENDPOINT", kHubEndpoint);
    options.hub_token = variable("HF_TOKEN", "");
    return run(options);
}
