#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>

#include "cli/commands.h"
#include "cli/output.h"
#include "server/app.h"
#include "server/config.h"

namespace hearth::cli {
namespace {

struct ServeOptions {
    std::vector<std::string> listen;
    std::string data_dir;
    std::string config;
};

Result<server::Config> load(const ServeOptions& options) {
    TRY(auto config, server::load_config(options.config, server::hearth_environment()));
    if (!options.listen.empty()) config.server.listen = options.listen;
    if (!options.data_dir.empty()) config.server.data_dir = options.data_dir;
    return config;
}

Result<void> serve(const ServeOptions& options) {
    return server::serve_until_signal([&] { return load(options); },
                                      [](const std::string& address) {
                                          std::printf("ready %s\n", address.c_str());
                                          std::fflush(stdout);
                                      });
}

}  // namespace

void add_serve(CLI::App& app, int& status) {
    auto options = std::make_shared<ServeOptions>();
    auto* command = app.add_subcommand("serve", "Start the server");
    command->add_option(
        "-l,--listen", options->listen,
        "HOST:PORT or unix:PATH, may repeat; port 0: any free one (127.0.0.1:11435)");
    command->add_option("-d,--data-dir", options->data_dir, "State and models");
    command->add_option("-c,--config", options->config, "Configuration file (YAML)");
    command->footer(
        "Examples:\n"
        "  hearth serve\n"
        "  hearth serve --listen 127.0.0.1:11434 --listen unix:/run/hearth.sock\n"
        "Prints 'ready ADDRESS' once it answers. SIGTERM drains and stops, SIGHUP reads "
        "the configuration again and looks for new models.");
    command->callback([options, &status] { status = report(serve(*options)); });
}

}  // namespace hearth::cli
