#include "server/config.h"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <sstream>

#include "backends/remote/server_url.h"
#include "base/encoding.h"
#include "base/format.h"
#include "http/char_class.h"
#include "server/config_visitor.h"

extern char** environ;

namespace hearth::server {
namespace {

void visit(ConfigVisitor& keys, ServerSection& section) {
    keys.list("listen", "addresses: HOST:PORT, [V6]:PORT or unix:PATH", section.listen);
    keys.text("data_dir", "state and models; empty: $XDG_DATA_HOME/hearth", section.data_dir, {});
    keys.size("shards", "event loops; 0: one per usable core", section.shards, 0, 256);
    keys.time("request_time", "from a complete request to its answer", section.request_time);
    keys.time("drain_time", "grace for requests in flight at shutdown", section.drain_time);
    auto& http = section.http;
    keys.size("header_bytes_max", "request line and fields", http.header_bytes_max, 1024, 1 << 20);
    keys.size("body_bytes_max", "request body, decompressed", http.body_bytes_max, 1024, 1 << 30);
    keys.size("connections_max", "open connections", http.connections_max, 1, 1'000'000);
    keys.time("header_time", "first byte to end of header", http.header_time);
    keys.time("body_time", "end of header to end of body", http.body_time);
    keys.time("idle_time", "silence between requests", http.idle_time);
    keys.time("write_time", "one write without progress", http.write_time);
}

void visit(ConfigVisitor& keys, ModelsSection& section) {
    keys.list("directories", "folders of models, beside <data_dir>/models", section.directories);
    keys.flag("ollama_store", "serve the models of an Ollama installation", section.ollama_store);
    keys.flag("hub_cache", "serve models in the cache of the Hugging Face hub", section.hub_cache);
    keys.flag("installed", "serve the embedding model that ./dev setup installs",
              section.installed);
    keys.flag("preload", "start a worker for every model at once", section.preload);
}

void visit(ConfigVisitor& keys, EncoderSection& section) {
    keys.text("precision", "how weights and activations are held", section.precision,
              {"auto", "fp32", "bf16", "int8"});
    keys.size("threads", "per session; 0: calibrated", section.threads, 0, 1024);
    keys.size("sessions", "batches computed at once; 0: calibrated", section.sessions, 0, 1024);
    keys.size("batch_tokens_max", "tokens in one batch", section.batch_tokens_max, 16, 1 << 20);
    keys.time("start_time", "worker start to ready", section.start_time);
    keys.time("hang_time", "a running batch older than this is a hang", section.hang_time);
    keys.time("idle_unload", "unload a model unused for this long; 0: never", section.idle_unload);
}

// What can also be set for one model.
void visit_process(ConfigVisitor& keys, LlamaSection& section) {
    keys.text("command", "llama-server; empty: the one setup built", section.command, {});
    keys.size("parallel", "answers of one model generated at once", section.parallel, 1, 256);
    keys.size("context", "tokens they share; 0: the model's, at most 32768", section.context, 0,
              1 << 24);
    keys.size("batch", "tokens of one decode", section.batch, 32, 1 << 16);
    keys.size("micro_batch", "tokens computed at once", section.micro_batch, 32, 1 << 16);
    keys.size("threads", "of one model; 0: one per usable core", section.threads, 0, 1024);
    keys.text("kv_type", "how keys and values are held", section.kv_type,
              {"f32", "f16", "bf16", "q8_0", "q5_1", "q5_0", "q4_1", "q4_0", "iq4_nl"});
    keys.flag("prompt_cache", "past prompts are kept in host memory, not among the answers",
              section.prompt_cache);
    keys.size("prompt_cache_mib", "for them, per model; 0: as much as the context takes",
              section.prompt_cache_mib, 0, 1 << 20);
    keys.text("gpu_layers", "layers on the GPU: a number, `auto` or `all`; empty: auto",
              section.gpu_layers, {});
    keys.text("devices", "devices to use, separated by commas; empty: all", section.devices, {});
    keys.text("visible_devices", "GPUs or MIG instances (UUIDs) its process may see; empty: all",
              section.visible_devices, {});
    keys.list("rpc", "llama.cpp RPC servers, HOST:PORT; on trusted networks only", section.rpc);
    keys.list("arguments", "more flags for llama-server", section.arguments);
    keys.time("start_time", "process start to ready", section.start_time);
    keys.time("hang_time", "a process silent for longer is killed", section.hang_time);
    keys.time("keep_alive", "unload a model unused for this long; 0: never", section.keep_alive);
}

void visit(ConfigVisitor& keys, LlamaSection& section) {
    visit_process(keys, section);
    keys.list("models", "the keys above for one model: `NAME KEY=VALUE ...`", section.models);
    keys.time("request_time", "from a complete request to the end of its answer",
              section.request_time);
}

void visit(ConfigVisitor& keys, MemorySection& section) {
    keys.size("budget_mib", "memory of the machine for models; 0: four fifths of it",
              section.budget_mib, 0, 1 << 24);
    keys.list("devices", "memory of accelerators for models, `CUDA0=20000` in MiB",
              section.devices);
    keys.time("patience", "a load that waited longer makes a model in use finish and leave",
              section.patience);
    keys.time("wait_time", "a load waits for room at most this long", section.wait_time);
}

// What can also be set for one model.
void visit_vectors(ConfigVisitor& keys, BackendSection& section) {
    keys.text("tokenizer",
              "triton: of models that take tokens, a Hugging Face folder or its `tokenizer.json`",
              section.tokenizer, {});
    keys.text("pooling",
              "triton: of the vectors of a text's tokens; auto: as the tokenizer's folder says, "
              "else mean",
              section.pooling, {"auto", "mean", "cls", "last"});
    keys.text("output", "triton: the tensor with the vectors; empty: chosen by its name",
              section.output, {});
    keys.size("window", "triton: tokens of a text; 0: what the tokenizer's folder says, else 512",
              section.window, 0, 1 << 20);
    keys.size("batch", "triton: texts of one call, where the server names no limit", section.batch,
              1, 2048);
    keys.flag("normalize", "triton: false: vectors stay as long as they are", section.normalize);
}

void visit(ConfigVisitor& keys, BackendSection& section) {
    keys.text("kind", "what it speaks", section.kind, {"openai", "ollama", "anthropic", "triton"});
    keys.text("url", "`http://HOST:PORT` or `https://HOST/PATH`", section.url, {});
    keys.text("strict",
              "openai: it refuses members that OpenAI's own API does not have; auto: at "
              "`api.openai.com` and `*.openai.azure.com`",
              section.strict, {"auto", "yes", "no"});
    keys.text("key_env", "the variable that holds its key", section.key_env, {});
    keys.text("key_file", "the file that holds its key", section.key_file, {});
    keys.list("headers", "more fields of every call, `Name: value`", section.headers);
    keys.list("models",
              "models to serve, `NAME` or `NAME=ITS_NAME`; empty: all that it lists; triton: the "
              "last six keys below for one model, `NAME KEY=VALUE ...`",
              section.models);
    keys.size("weight", "its share of the calls among those that serve the same model",
              section.weight, 1, 1'000);
    keys.size("concurrency", "calls at a time", section.concurrency, 1, 100'000);
    keys.size("queue", "calls that wait for their turn; more are refused", section.queue, 0,
              1'000'000);
    keys.time("queue_time", "longest wait for a turn", section.queue_time);
    keys.time("connect_time", "look-up, connection and TLS together", section.connect_time);
    keys.time("lost_time",
              "a machine without a sign of life for so long, not even TCP's, is gone; 0: never",
              section.lost_time);
    keys.time("header_time", "from the request to the status; not of a text that is no stream",
              section.header_time);
    keys.time("first_token_time", "of a stream: silence before the first token",
              section.first_token_time);
    keys.time("idle_time", "silence between two pieces of an answer", section.idle_time);
    keys.time("total_time", "a whole call", section.total_time);
    keys.size("failures", "failures in a row after which it is left alone for a while",
              section.failures, 1, 1'000);
    keys.time("open_time", "that while; twice as long each time, up to 30 s", section.open_time);
    keys.time("refresh_time", "its list of models is asked for this often", section.refresh_time);
    keys.text("ca_file",
              "the authorities its certificate must come from (PEM); empty: the system's",
              section.ca_file, {});
    keys.text("certificate_file", "our certificate, where it asks for one (PEM)",
              section.certificate_file, {});
    keys.text("certificate_key_file", "and its key", section.certificate_key_file, {});
    keys.flag("verify", "false: its certificate may be anybody's", section.verify);
    visit_vectors(keys, section);
}

// What is wrong with a `Name: value`; empty: nothing. Values are secrets as often as not, and a
// secret alone is what stands there by mistake, so that none of it is repeated.
std::string_view problem_of_header(std::string_view text) {
    const std::size_t colon = text.find(':');
    if (colon == std::string_view::npos) return "is not `Name: value`";
    const std::string_view name = trimmed(text.substr(0, colon));
    if (name.empty() || !http::all_are(http::kToken, name)) {
        return "has a name that no field can have";
    }
    if (!http::all_are(http::kFieldValue, trimmed(text.substr(colon + 1)))) {
        return "has a control character in its value";
    }
    return {};
}

// What can be wrong of a server elsewhere without looking at it.
void check(ConfigVisitor& keys, const BackendSection& section) {
    const auto url = section.url.empty()
                         ? Result<remote::ServerUrl>(invalid("a server elsewhere needs one"))
                         : remote::ServerUrl::parse(section.url);
    if (!url) keys.refuse_value("url", url.error().message);
    for (const std::string& entry : section.models) {
        if (const auto model = section.of_model(entry); !model) {
            keys.refuse_value("models", model.error().message);
        }
    }
    if (section.kind != "triton" && !section.tokenizer.empty()) {
        keys.refuse_value("tokenizer",
                          format("servers of the kind {} take texts; leave it out", section.kind));
    }
    for (std::size_t i = 0; i < section.headers.size(); ++i) {
        const std::string_view problem = problem_of_header(section.headers[i]);
        if (!problem.empty()) keys.refuse_value("headers", format("entry {} {}", i + 1, problem));
    }
}

// Of aliases, and of defaults.
std::string check_alias(const std::vector<std::string>& values) {
    return values.size() == 1 ? "" : "must be one name";
}
std::string check_default(const std::vector<std::string>& values) {
    for (const std::string& value : values) {
        const std::size_t equals = value.find('=');
        if (equals != std::string::npos && equals > 0) continue;
        return format("'{}' is not `member=value`", value);
    }
    return {};
}

void visit(ConfigVisitor& keys, RoutingSection& section) {
    keys.size("attempts", "servers, or times one server, asked for an answer", section.attempts, 1,
              64);
    keys.time("backoff", "before the same server is asked again; doubled each time",
              section.backoff);
    keys.time("patience", "longest wait for a server that says when to come again",
              section.patience);
    keys.time("eject_time", "a server that does far worse than the others is left out for so long",
              section.eject_time);
    keys.flag("continue_answers",
              "where a server fails in the middle of a text, ask another for the rest of it",
              section.continue_answers);
    keys.time(
        "hedge_after",
        "where a server has said nothing for so long, make the call to another of the model's "
        "servers too, as one of its `attempts`, and take the answer that begins first; one "
        "call in ten at most, and ten at once after a quiet time; 0: never",
        section.hedge_after);
    keys.flag("find_ollama", "serve the models of an Ollama on its usual port, if there is one",
              section.find_ollama);
}

void visit(ConfigVisitor& keys, CacheSection& section) {
    keys.size("memory_mib", "memory for answers that are kept; 0: none are", section.memory_mib, 0,
              1 << 20);
    keys.time("embedding_life", "vectors are kept for so long", section.lives.embedding);
    keys.time("rerank_life", "scores of documents", section.lives.rerank);
    keys.time("completion_life", "chats and completions", section.lives.completion);
    keys.time("fim_life", "what stands between a prefix and a suffix", section.lives.fim);
    keys.list("models",
              "of calls that say nothing, by model, `NAME=MODE`: `auto` keeps what would come out "
              "the same again, `all` any answer, `off` none",
              section.models);
}

void visit(ConfigVisitor& keys, LogSection& section) {
    keys.text("level", "least severe line written", section.level,
              {"debug", "info", "warn", "error", "off"});
    keys.flag("access", "one line per request", section.access);
}

// Sections that are read when the server starts.
struct FixedSection {
    const char* name;
    void (*visit)(ConfigVisitor&, Config&);
};
constexpr FixedSection kFixedSections[] = {
    {"server", [](ConfigVisitor& keys, Config& config) { visit(keys, config.server); }},
    {"models", [](ConfigVisitor& keys, Config& config) { visit(keys, config.models); }},
    {"encoder", [](ConfigVisitor& keys, Config& config) { visit(keys, config.encoder); }},
    {"llama", [](ConfigVisitor& keys, Config& config) { visit(keys, config.llama); }},
    {"memory", [](ConfigVisitor& keys, Config& config) { visit(keys, config.memory); }},
    {"cache", [](ConfigVisitor& keys, Config& config) { visit(keys, config.cache); }},
    {"log", [](ConfigVisitor& keys, Config& config) { visit(keys, config.log); }},
};

void visit(ConfigVisitor& keys, Config& config) {
    for (const FixedSection& section : kFixedSections) {
        keys.section(section.name, [&] { section.visit(keys, config); });
    }
    keys.entries(
        "backends",
        "Servers elsewhere, each with a name of yours. `NAME/MODEL` asks that server and no "
        "other.",
        [&](const std::string& name) {
            visit(keys, config.backends[name]);
            check(keys, config.backends[name]);
        });
    keys.section("routing", [&] { visit(keys, config.routing); });
    keys.map("aliases", "Other names of models: `gpt-4o: qwen2.5-coder:7b`.", config.aliases,
             check_alias);
    keys.map("fallbacks",
             "Models that stand in for one that nobody can serve, in this order: "
             "`big: [small, cloud/model]`.",
             config.fallbacks, nullptr);
    keys.map("context_fallbacks",
             "Models that stand in for one whose context is too small for the prompt: "
             "`small: [large]`.",
             config.context_fallbacks, nullptr);
    keys.map("defaults",
             "What calls to a model say where they say nothing: `coder: [temperature=0.2, "
             "top_p=0.9]`.",
             config.defaults, check_default);
}

// An entry of llama.models.
struct ModelKeys {
    std::string_view name;
    std::string yaml;  // of a section
};

ModelKeys read_entry(std::string_view entry) {
    ModelKeys keys;
    entry = trimmed(entry);
    keys.name = entry.substr(0, entry.find(' '));
    entry.remove_prefix(keys.name.size());
    for (entry = trimmed(entry); !entry.empty(); entry = trimmed(entry)) {
        const std::string_view pair = entry.substr(0, entry.find(' '));
        entry.remove_prefix(pair.size());
        const std::size_t equals = std::min(pair.find('='), pair.size());
        keys.yaml += format("  \"{}\": ", pair.substr(0, equals));
        const std::string_view value = pair.substr(std::min(equals + 1, pair.size()));
        keys.yaml += format("\"{}\"\n", value);
    }
    return keys;
}

std::filesystem::path home_folder(const char* variable, const char* below_home) {
    if (const char* set = std::getenv(variable); set != nullptr && *set != '\0') return set;
    const char* home = std::getenv("HOME");
    return std::filesystem::path(home != nullptr ? home : "/") / below_home;
}

std::filesystem::path hub_cache_folder() {
    if (const char* set = std::getenv("HF_HUB_CACHE"); set != nullptr && *set != '\0') return set;
    return home_folder("HF_HOME", ".cache/huggingface") / "hub";
}

}  // namespace

std::vector<std::string> LlamaSection::named_models() const {
    std::vector<std::string> names;
    for (const std::string& entry : models) names.emplace_back(read_entry(entry).name);
    return names;
}

Result<LlamaSection> LlamaSection::of_model(
    const std::function<bool(std::string_view)>& is_named) const {
    LlamaSection section = *this;
    for (const std::string& entry : models) {
        const ModelKeys keys = read_entry(entry);
        if (!is_named(keys.name)) continue;
        TRY_VOID(read_config("llama.models: " + std::string(keys.name), "llama:\n" + keys.yaml, {},
                             [&](ConfigVisitor& visitor) {
                                 visitor.section("llama", [&] { visit_process(visitor, section); });
                             }));
    }
    return section;
}

Result<BackendSection::Served> BackendSection::of_model(std::string_view entry) const {
    Served served{.name = {}, .its_name = {}, .section = *this};
    std::string_view names = entry;
    if (kind == "triton") {
        const ModelKeys keys = read_entry(entry);
        names = keys.name;
        TRY_VOID(read_config("models: " + std::string(names), "model:\n" + keys.yaml, {},
                             [&](ConfigVisitor& visitor) {
                                 visitor.section("model",
                                                 [&] { visit_vectors(visitor, served.section); });
                             }));
    }
    const std::size_t equals = names.find('=');
    served.name = names.substr(0, equals);
    served.its_name = equals == std::string_view::npos ? names : names.substr(equals + 1);
    return served;
}

Result<std::map<std::string, cache::Mode>> CacheSection::modes() const {
    std::map<std::string, cache::Mode> modes;
    for (const std::string& entry : models) {
        const std::size_t equals = std::min(entry.find('='), entry.size());
        const auto mode =
            cache::parse_mode(std::string_view(entry).substr(std::min(equals + 1, entry.size())));
        const bool is_one =
            equals > 0 && mode &&
            (*mode == cache::Mode::Auto || *mode == cache::Mode::All || *mode == cache::Mode::Off);
        if (!is_one) {
            return invalid(
                format("cache.models: '{}' is not `NAME=MODE` with auto, all or off", entry));
        }
        modes[entry.substr(0, equals)] = *mode;
    }
    return modes;
}

std::filesystem::path LlamaSection::program() const {
    return command.empty() ? HEARTH_LLAMA_SERVER : command;
}

std::filesystem::path Config::data_dir() const {
    if (!server.data_dir.empty()) return server.data_dir;
    return home_folder("XDG_DATA_HOME", ".local/share") / "hearth";
}

std::filesystem::path Config::store_dir() const { return data_dir() / "store"; }

std::vector<models::Source> Config::model_sources() const {
    using models::Home;
    std::vector<models::Source> sources = {{data_dir() / "models", Home::Folder},
                                           {store_dir(), Home::OwnStore}};
    for (const auto& folder : models.directories) sources.push_back({folder, Home::Folder});
    if (models.ollama_store) {
        sources.push_back({home_folder("OLLAMA_MODELS", ".ollama/models"), Home::OllamaStore});
        sources.push_back({"/usr/share/ollama/.ollama/models", Home::OllamaStore});
    }
    if (models.hub_cache) sources.push_back({hub_cache_folder(), Home::HubCache});
    if (models.installed) sources.push_back({HEARTH_DEFAULT_MODELS, Home::Folder});
    return sources;
}

Environment hearth_environment() {
    Environment found;
    for (char** entry = environ; *entry != nullptr; ++entry) {
        const std::string_view text(*entry);
        const std::size_t equals = text.find('=');
        if (!text.starts_with("HEARTH_") || equals == std::string_view::npos) continue;
        found.emplace(text.substr(0, equals), text.substr(equals + 1));
    }
    return found;
}

Result<Config> parse_config(std::string_view name, std::string_view text,
                            const Environment& environment) {
    Config config;
    TRY_VOID(
        read_config(name, text, environment, [&](ConfigVisitor& keys) { visit(keys, config); }));
    TRY_VOID(config.llama.of_model([](std::string_view) { return true; }));
    TRY_VOID(config.cache.modes());
    return config;
}

Result<Config> load_config(const std::filesystem::path& file, const Environment& environment) {
    if (file.empty()) return parse_config("environment", "", environment);
    std::ifstream stream(file);
    if (!stream)
        return fail(Code::NotFound, "configuration file " + file.string() + " cannot be read");
    std::ostringstream text;
    text << stream.rdbuf();
    return parse_config(file.string(), text.str(), environment);
}

std::vector<std::string> changed_sections(const Config& running, const Config& next) {
    const auto values = [](const FixedSection& section, Config config) {
        return describe_config([&](ConfigVisitor& keys) {
            keys.section(section.name, [&] { section.visit(keys, config); });
        });
    };
    std::vector<std::string> changed;
    for (const FixedSection& section : kFixedSections) {
        if (values(section, running) != values(section, next)) changed.emplace_back(section.name);
    }
    return changed;
}

std::string config_reference() {
    constexpr std::string_view kHead =
        "# Configuration\n\n"
        "`hearth serve --config FILE` reads one YAML file. Every key is optional; an unknown key "
        "is an error "
        "that names its\nline. The environment overrides the file: `HEARTH_SECTION__KEY`, lists "
        "separated by "
        "commas. Times are written\n`500ms`, `30s`, `5m`, `1h`. This page is printed by "
        "`hearth doctor --reference`.\n";
    return std::string(kHead) + describe_config([](ConfigVisitor& keys) {
               Config defaults;
               visit(keys, defaults);
           });
}

}  // namespace hearth::server
