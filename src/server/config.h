#pragma once

#include <chrono>
#include <cstddef>
#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "cache/policy.h"
#include "http/server.h"
#include "models/catalogue.h"

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
    bool ollama_store = true;
    bool hub_cache = true;
    bool installed = true;
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

// Text generation: llama.cpp's llama-server, one process per GGUF model.
struct LlamaSection {
    std::string command;  // empty: the one setup built
    std::size_t parallel = 32;
    std::size_t context = 0;
    std::size_t batch = 2048;
    std::size_t micro_batch = 512;
    std::size_t threads = 0;
    std::string kv_type = "f16";
    bool prompt_cache = true;
    std::size_t prompt_cache_mib = 0;
    std::string gpu_layers;
    std::string devices;
    std::string visible_devices;
    std::vector<std::string> rpc;
    std::vector<std::string> arguments;
    std::vector<std::string> models;  // "NAME KEY=VALUE ...": of one model
    std::chrono::milliseconds start_time{300'000};
    std::chrono::milliseconds hang_time{120'000};
    std::chrono::milliseconds keep_alive{300'000};
    std::chrono::milliseconds request_time{3'600'000};

    std::filesystem::path program() const;
    // The section as one model sees it: `is_named` says which names of entries are its. Errors:
    // InvalidArgument (an entry that cannot be read; parse_config refuses it).
    Result<LlamaSection> of_model(const std::function<bool(std::string_view)>& is_named) const;
    // The names in `models`.
    std::vector<std::string> named_models() const;
};

// What models in memory may take together.
struct MemorySection {
    std::size_t budget_mib = 0;        // of the machine; 0: four fifths of what it has
    std::vector<std::string> devices;  // "CUDA0=20000": MiB of an accelerator
    std::chrono::milliseconds patience{5'000};
    std::chrono::milliseconds wait_time{120'000};
};

// A server elsewhere.
struct BackendSection {
    std::string kind = "openai";
    std::string url;
    std::string strict = "auto";       // openai: its API's members alone; auto: by the host
    std::string key_env;               // the variable with its key
    std::string key_file;              // or the file
    std::vector<std::string> headers;  // "Name: value"
    std::vector<std::string> models;   // "NAME" or "NAME=ITS_NAME"; empty: all that it lists;
                                       // of a triton server with " KEY=VALUE ..." behind it
    std::size_t weight = 1;
    std::size_t concurrency = 64;
    std::size_t queue = 256;
    std::chrono::milliseconds queue_time{30'000};
    std::chrono::milliseconds connect_time{2'000};
    std::chrono::milliseconds lost_time{10'000};
    std::chrono::milliseconds header_time{120'000};
    std::chrono::milliseconds first_token_time{120'000};
    std::chrono::milliseconds idle_time{60'000};
    std::chrono::milliseconds total_time{600'000};
    std::size_t failures = 5;
    std::chrono::milliseconds open_time{1'000};
    std::chrono::milliseconds refresh_time{30'000};
    std::string ca_file;
    std::string certificate_file;
    std::string certificate_key_file;
    bool verify = true;
    // Of a triton server's models that make vectors.
    std::string tokenizer;         // a model's folder, or its tokenizer.json
    std::string pooling = "auto";  // of the vectors of tokens
    std::string output;            // the tensor with the vectors; empty: chosen by its name
    std::size_t window = 0;        // tokens of one text; 0: what the tokenizer's folder says
    std::size_t batch = 32;        // texts of one call, where the server names no limit
    bool normalize = true;

    // The section as one model sees it, and the model's names: of an entry of `models`. Errors:
    // InvalidArgument (parse_config refuses it).
    struct Served;
    Result<Served> of_model(std::string_view entry) const;
};

struct BackendSection::Served {
    std::string name;
    std::string its_name;
    BackendSection section;
};

// How calls go on where a server fails.
struct RoutingSection {
    std::size_t attempts = 3;
    std::chrono::milliseconds backoff{50};
    std::chrono::milliseconds patience{5'000};
    std::chrono::milliseconds eject_time{30'000};
    bool continue_answers = false;
    std::chrono::milliseconds hedge_after{0};
    bool find_ollama = true;
};

using NameMap = std::map<std::string, std::vector<std::string>>;

// Answers that are kept.
struct CacheSection {
    std::size_t memory_mib = 256;
    cache::Lives lives;
    std::vector<std::string> models;  // "NAME=MODE"

    // What `models` says. Errors: InvalidArgument (parse_config refuses it).
    Result<std::map<std::string, cache::Mode>> modes() const;
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
    LlamaSection llama;
    MemorySection memory;
    CacheSection cache;
    LogSection log;
    std::map<std::string, BackendSection> backends;  // by name
    RoutingSection routing;
    NameMap aliases;            // name to the name of a model
    NameMap fallbacks;          // model to those that stand in for it
    NameMap context_fallbacks;  // the same, for prompts that do not fit
    NameMap defaults;           // model to "member=value": of calls that do not set them

    std::filesystem::path data_dir() const;
    // <data_dir>/models, the own store, models.directories, the Ollama store ($OLLAMA_MODELS, else
    // the user's and the system service's), the Hugging Face hub's cache ($HF_HUB_CACHE,
    // $HF_HOME/hub), then where setup put the default model. The earlier one wins a name.
    std::vector<models::Source> model_sources() const;
    // What the server pulls and creates: models/store.h.
    std::filesystem::path store_dir() const;
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

// The sections of which `next` has other values and which only a start reads.
std::vector<std::string> changed_sections(const Config& running, const Config& next);

// The reference of all keys as a Markdown table per section (docs/configuration.md).
std::string config_reference();

}  // namespace hearth::server
