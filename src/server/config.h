#pragma once

#include <chrono>
#include <cstddef>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "http/server.h"

namespace hearth::server {

struct ServerSection {
    std::vector<std::string> listen = {"127.0.0.1:11435"};
    std::string data_dir;  // empty: $XDG_DATA_HOME/hearth
    std::size_t shards = 0;
    std::chrono::milliseconds request_time{120'000};
    std::chrono::milliseconds drain_time{30'000};
    http::ServerOptions http;
};

struct ModelsSection {
    std::vector<std::string> directories;  // beside <data_dir>/models
    bool preload = false;
};

struct EncoderSection {
    std::string precision = "auto";
    std::size_t threads = 0;
    std::size_t sessions = 0;
    std::size_t batch_tokens_max = 4096;
    std::chrono::milliseconds start_time{60'000};
    std::chrono::milliseconds hang_time{120'000};
    std::chrono::milliseconds idle_unload{0};
};

struct LogSection {
    std::string level = "info";
    bool access = false;
};

// Everything a user can set. A value; every field has a working default.
struct Config {
    ServerSection server;
    ModelsSection models;
    EncoderSection encoder;
    LogSection log;

    std::filesystem::path data_dir() const;
    // <data_dir>/models, then models.directories, then where setup put the default model.
    std::vector<std::filesystem::path> models_directories() const;
};

using Environment = std::map<std::string, std::string, std::less<>>;

// HEARTH_* variables of this process.
Environment hearth_environment();

// Reads YAML `text`, then lets `environment` (HEARTH_SECTION__KEY) override it. `name` stands in
// errors. Errors: InvalidArgument naming file, line and key: unknown key, wrong type, out of range.
Result<Config> parse_config(std::string_view name, std::string_view text,
                            const Environment& environment);

// Reads `file`; an empty path means no file. Errors: NotFound, and those of parse_config.
Result<Config> load_config(const std::filesystem::path& file, const Environment& environment);

// The reference of all keys as a Markdown table per section (docs/configuration.md).
std::string config_reference();

}  // namespace hearth::server
