#include "server/upstream_options.h"

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <sstream>

#include "base/format.h"
#include "server/triton_options.h"

namespace hearth::server {
namespace {

constexpr std::size_t kKeyBytesMax = 16 << 10;
constexpr std::string_view kOllamaAddress = "127.0.0.1:11434";

std::string_view trimmed_line(std::string_view text) {
    constexpr std::string_view kBlank = " \t\r\n";
    const std::size_t begin = text.find_first_not_of(kBlank);
    if (begin == std::string_view::npos) return {};
    return text.substr(begin, text.find_last_not_of(kBlank) - begin + 1);
}

// Empty: none is configured.
Result<std::string> read_key(const BackendSection& section) {
    std::string key;
    if (!section.key_env.empty()) {
        const char* set = std::getenv(section.key_env.c_str());
        if (set == nullptr || *set == '\0') {
            return invalid(format("key_env: the variable {} is not set", section.key_env));
        }
        key = set;
    } else if (!section.key_file.empty()) {
        std::ifstream file(section.key_file);
        std::ostringstream text;
        text << file.rdbuf();
        if (!file) return invalid(format("key_file: {} cannot be read", section.key_file));
        key = text.str();
    }
    const std::string_view clean = trimmed_line(key);
    const bool sound = clean.size() <= kKeyBytesMax &&
                       std::ranges::all_of(clean, [](char c) { return c > ' ' && c < '\x7f'; });
    if (!sound) return invalid("its key is no key: it has white space or control characters");
    return std::string(clean);
}

void add_key(const std::string& kind, const std::string& key, remote::UpstreamOptions& options) {
    if (key.empty()) return;
    if (kind == "anthropic") {
        options.headers.emplace_back("x-api-key", key);
    } else {
        options.headers.emplace_back("authorization", "Bearer " + key);
    }
}

Result<std::vector<std::pair<std::string, std::string>>> names_of(const BackendSection& section) {
    std::vector<std::pair<std::string, std::string>> names;
    for (const std::string& entry : section.models) {
        TRY(BackendSection::Served served, section.of_model(entry));
        names.emplace_back(std::move(served.name), std::move(served.its_name));
    }
    return names;
}

// What answers depend on beside the model and the caller's words: what a triton server's models are
// asked with, and of one of OpenAI's kind which members it is not sent.
std::string settings_of(const BackendSection& section) {
    if (section.kind != "triton") return section.strict;
    std::string settings = format("{}\n{}\n{}\n{}\n{}", section.tokenizer, section.pooling,
                                  section.output, section.window, section.normalize);
    for (const std::string& model : section.models) settings += '\n' + model;
    return settings;
}

remote::UpstreamOptions options_of(const std::string& name, const BackendSection& section) {
    remote::UpstreamOptions options;
    options.name = name;
    options.kind = section.kind;
    options.settings = settings_of(section);
    options.tls = {.ca_file = section.ca_file,
                   .certificate_file = section.certificate_file,
                   .key_file = section.certificate_key_file,
                   .verify = section.verify};
    options.concurrency = section.concurrency;
    options.queue = section.queue;
    options.queue_time = section.queue_time;
    options.connect_time = section.connect_time;
    options.lost_time = section.lost_time;
    options.header_time = section.header_time;
    options.first_token_time = section.first_token_time;
    options.idle_time = section.idle_time;
    options.total_time = section.total_time;
    options.breaker = {.failures_max = section.failures, .open_time = section.open_time};
    return options;
}

remote::Openai openai_of(const BackendSection& section, std::string_view host) {
    const bool is_theirs = host == "api.openai.com" || host.ends_with(".api.openai.com") ||
                           host.ends_with(".openai.azure.com");
    const bool strict = section.strict == "auto" ? is_theirs : section.strict == "yes";
    return strict ? remote::Openai::Itself : remote::Openai::Compatible;
}

Result<UpstreamPlan> plan(const std::string& name, const BackendSection& section,
                          TokenSources& sources) {
    UpstreamPlan made{.options = options_of(name, section),
                      .weight = static_cast<double>(section.weight),
                      .refresh_time = section.refresh_time,
                      .names = {},
                      .triton = {}};
    TRY(made.names, names_of(section));
    if (section.kind == "triton") {
        TRY(made.triton, plan_triton(section, sources));
    }
    TRY(made.options.url, remote::ServerUrl::parse(section.url));
    made.openai = openai_of(section, made.options.url.host);
    TRY(const std::string key, read_key(section));
    add_key(section.kind, key, made.options);
    for (const std::string& header : section.headers) {
        const std::size_t colon = header.find(':');
        made.options.headers.emplace_back(trimmed_line(header.substr(0, colon)),
                                          trimmed_line(header.substr(colon + 1)));
    }
    return made;
}

// "0.0.0.0:11434" is where Ollama listens, not where it is asked.
std::string ollama_url() {
    const char* set = std::getenv("OLLAMA_HOST");
    std::string host = set != nullptr && *set != '\0' ? set : std::string(kOllamaAddress);
    if (!host.contains("://")) host = "http://" + host;
    if (host.starts_with("http://0.0.0.0")) host.replace(7, 7, "127.0.0.1");
    if (host.find(':', 7) == std::string::npos) host += ":11434";
    return host;
}

}  // namespace

Result<std::vector<UpstreamPlan>> plan_upstreams(const Config& config) {
    std::vector<UpstreamPlan> plans;
    TokenSources sources;
    for (const auto& [name, section] : config.backends) {
        auto made = plan(name, section, sources);
        if (!made) return fail(std::move(made).error().within("backends." + name));
        plans.push_back(*std::move(made));
    }
    if (!config.routing.find_ollama || config.backends.contains("ollama")) return plans;
    auto found = plan("ollama", {.kind = "ollama", .url = ollama_url()}, sources);
    if (!found) return plans;
    found->found = true;
    const std::string& address = found->options.url.address;
    const bool taken = std::ranges::any_of(plans,
                                           [&](const UpstreamPlan& other) {
                                               return other.options.url.address == address;
                                           }) ||
                       std::ranges::any_of(config.server.listen, [&](const std::string& own) {
                           return own.ends_with(address.substr(address.rfind(':')));
                       });
    if (!taken) plans.push_back(*std::move(found));
    return plans;
}

}  // namespace hearth::server
