#pragma once

#include <span>

namespace CLI {
class App;
}

namespace hearth::cli {

// Exit codes of every command.
inline constexpr int kOk = 0;
inline constexpr int kFailed = 1;
inline constexpr int kUsage = 2;

// Declares its options below `app`; when chosen, runs and stores its exit code in `status`.
struct Command {
    void (*add)(CLI::App& app, int& status);
};

// Every command, in the order of the help text: one row per command in commands.cc.
std::span<const Command> commands();

void add_serve(CLI::App& app, int& status);
void add_run(CLI::App& app, int& status);
void add_complete(CLI::App& app, int& status);
void add_embed(CLI::App& app, int& status);
void add_models(CLI::App& app, int& status);
void add_show(CLI::App& app, int& status);
void add_ps(CLI::App& app, int& status);
void add_pull(CLI::App& app, int& status);
void add_cp(CLI::App& app, int& status);
void add_rm(CLI::App& app, int& status);
void add_quantize(CLI::App& app, int& status);
void add_cache(CLI::App& app, int& status);
void add_doctor(CLI::App& app, int& status);
void add_demo(CLI::App& app, int& status);

}  // namespace hearth::cli
