#include <CLI/CLI.hpp>
#include <algorithm>
#include <boost/json.hpp>
#include <iostream>
#include <memory>

#include "base/format.h"
#include "cli/commands.h"
#include "cli/connection.h"
#include "cli/json_fields.h"
#include "cli/output.h"

namespace hearth::cli {
namespace json = boost::json;
namespace {

struct ListOptions {
    std::string url = default_address();
    bool as_json = false;
};

std::string or_dash(std::string_view text) { return std::string(text.empty() ? "-" : text); }

// A time without its fractions of a second.
std::string time_of(const json::object& model, std::string_view key) {
    return or_dash(text_at(model, key).substr(0, 19));
}

std::string capabilities(const json::object& model) {
    std::string names;
    for (const auto& name : list_at(model, "capabilities")) {
        if (name.is_string()) names += (names.empty() ? "" : ",") + std::string(name.get_string());
    }
    return or_dash(names);
}

// The members of "models"; what is no object among them is left out.
Result<std::vector<json::object>> fetch(const ListOptions& options, const std::string& path) {
    TRY(const auto address, parse_address(options.url));
    Connection connection(address);
    TRY(const auto reply, connection.call("GET", path, ""));
    const json::object* answer = reply.if_object();
    if (answer == nullptr || !answer->contains("models")) {
        return fail(Code::BadUpstream, "the server's answer lists no models");
    }
    const json::array& models = list_at(*answer, "models");
    if (options.as_json) std::cout << json::serialize(models) << '\n';
    std::vector<json::object> found;
    for (const auto& model : models) {
        if (model.is_object()) found.push_back(model.get_object());
    }
    return found;
}

Result<void> models(const ListOptions& options) {
    TRY(const auto found, fetch(options, "/api/tags"));
    if (options.as_json) return {};
    std::vector<std::vector<std::string>> rows = {
        {"NAME", "DIGEST", "SIZE", "FAMILY", "MODIFIED (UTC)", "CAPABILITIES"}};
    for (const auto& model : found) {
        rows.push_back({or_dash(text_at(model, "name")),
                        or_dash(text_at(model, "digest").substr(0, 12)),
                        print_bytes(number_at(model, "size")),
                        or_dash(text_at(object_at(model, "details"), "family")),
                        time_of(model, "modified_at"), capabilities(model)});
    }
    print_table(rows);
    return {};
}

// A model that stays has the last moment the protocol can say.
std::string until(const json::object& model) {
    const std::string time = time_of(model, "expires_at");
    return time.starts_with("2262-") ? "for ever" : time;
}

// Where a model computes, told by where its memory lies.
std::string processor(const json::object& model) {
    const auto size = static_cast<double>(number_at(model, "size"));
    const auto on_gpu = static_cast<double>(number_at(model, "size_vram"));
    const int percent = size > 0 ? static_cast<int>(std::min(1.0, on_gpu / size) * 100 + 0.5) : 0;
    if (percent == 0) return "100% CPU";
    if (percent == 100) return "100% GPU";
    return format("{}%/{}% CPU/GPU", 100 - percent, percent);
}

Result<void> running(const ListOptions& options) {
    TRY(const auto found, fetch(options, "/api/ps"));
    if (options.as_json) return {};
    std::vector<std::vector<std::string>> rows = {
        {"NAME", "SIZE", "PROCESSOR", "CONTEXT", "UNTIL (UTC)"}};
    for (const auto& model : found) {
        rows.push_back({or_dash(text_at(model, "name")), print_bytes(number_at(model, "size")),
                        processor(model), format("{}", number_at(model, "context_length")),
                        until(model)});
    }
    print_table(rows);
    return {};
}

CLI::App* add_list(CLI::App& app, const char* name, const char* about,
                   const std::shared_ptr<ListOptions>& options) {
    auto* command = app.add_subcommand(name, about);
    command->add_option("--url", options->url, "Server")->capture_default_str();
    command->add_flag("--json", options->as_json, "Machine-readable output");
    command->footer(format("Examples:\n  hearth {0}\n  hearth {0} --json", name));
    return command;
}

}  // namespace

void add_models(CLI::App& app, int& status) {
    auto options = std::make_shared<ListOptions>();
    add_list(app, "models", "List the models on disk", options)->callback([options, &status] {
        status = report(models(*options));
    });
}

void add_ps(CLI::App& app, int& status) {
    auto options = std::make_shared<ListOptions>();
    add_list(app, "ps", "List the models in memory", options)->callback([options, &status] {
        status = report(running(*options));
    });
}

}  // namespace hearth::cli
