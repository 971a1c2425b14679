#include <CLI/CLI.hpp>
#include <cstdio>

#include "base/format.h"
#include "cli/commands.h"

int main(int argc, char** argv) {
    CLI::App app("Hearth: the private AI backend for people who write code on their own hardware.");
    app.name("hearth");
    app.set_version_flag("--version", "hearth " HEARTH_VERSION);
    app.require_subcommand(1);
    app.footer(
        "Examples:\n"
        "  hearth serve                           start the server on 127.0.0.1:11435\n"
        "  hearth run qwen3 'Why is the sky blue?'  ask a model; without a prompt: chat\n"
        "  hearth embed README.md                 embed a file\n"
        "  hearth demo ~/src/project              embed a folder and ask it three questions\n"
        "Exit codes: 0 done, 1 the operation failed, 2 wrong usage or configuration.");
    int status = 0;
    for (const auto& command : hearth::cli::commands()) command.add(app, status);
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
        return app.exit(error) == 0 ? 0 : 2;
    }
    return status;
}
