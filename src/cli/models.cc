#include <CLI/CLI.hpp>
#include <boost/json.hpp>
#include <iostream>
#include <memory>

#include "base/format.h"
#include "cli/commands.h"
#include "cli/connection.h"
#include "cli/output.h"

namespace hearth::cli {
namespace json = boost::json;
namespace {

struct ListOptions {
    std::string url = default_address();
    bool as_json = false;
};

std::string text(const json::value& object, std::string_view key) {
    const auto* found = object.as_object().if_contains(key);
    return found != nullptr && found->is_string() ? std::string(found->as_string()) : "-";
}

std::uint64_t number(const json::value& object, std::string_view key) {
    const auto* found = object.as_object().if_contains(key);
    return found != nullptr && found->is_number() ? found->to_number<std::uint64_t>() : 0;
}

Result<json::array> fetch(const ListOptions& options, const std::string& path) {
    TRY(const auto address, parse_address(options.url));
    Connection connection(address);
    TRY(const auto reply, connection.call("GET", path, ""));
    const auto* models = reply.is_object() ? reply.as_object().if_contains("models") : nullptr;
    if (models == nullptr || !models->is_array()) {
        return fail(Code::BadUpstream, "the server's answer lists no models");
    }
    if (options.as_json) std::cout << json::serialize(*models) << '\n';
    return models->as_array();
}

Result<void> models(const ListOptions& options) {
    TRY(const auto found, fetch(options, "/api/tags"));
    if (options.as_json) return {};
    std::vector<std::vector<std::string>> rows = {{"NAME", "DIGEST", "SIZE", "FAMILY", "MODIFIED"}};
    for (const auto& model : found) {
        const auto* details = model.as_object().if_contains("details");
        rows.push_back({text(model, "name"), text(model, "digest").substr(0, 12),
                        print_bytes(number(model, "size")),
                        details != nullptr ? text(*details, "family") : "-",
                        text(model, "modified_at").substr(0, 19)});
    }
    print_table(rows);
    return {};
}

Result<void> running(const ListOptions& options) {
    TRY(const auto found, fetch(options, "/api/ps"));
    if (options.as_json) return {};
    std::vector<std::vector<std::string>> rows = {{"NAME", "SIZE", "CONTEXT", "UNTIL"}};
    for (const auto& model : found) {
        rows.push_back({text(model, "name"), print_bytes(number(model, "size")),
                        format("{}", number(model, "context_length")),
                        text(model, "expires_at").substr(0, 19)});
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
