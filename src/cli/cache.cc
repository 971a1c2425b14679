#include <CLI/CLI.hpp>
#include <boost/json.hpp>
#include <iostream>
#include <memory>

#include "base/encoding.h"
#include "base/format.h"
#include "cli/commands.h"
#include "cli/connection.h"
#include "cli/json_fields.h"
#include "cli/output.h"
#include "cli/terminal_text.h"

// hearth cache stats, clear and prune.
namespace hearth::cli {
namespace json = boost::json;
namespace {

struct CacheOptions {
    std::string space;
    std::string model;
    std::string url = default_address();
    bool as_json = false;
};

Result<json::object> call(const CacheOptions& options, std::string_view method,
                          const std::string& path, const std::string& body) {
    TRY(const auto address, parse_address(options.url));
    Connection connection(address);
    TRY(const auto reply, connection.call(method, path, body));
    const json::object* answer = reply.if_object();
    if (answer == nullptr) return fail(Code::BadUpstream, "the server's answer is no object");
    if (options.as_json) std::cout << json::serialize(*answer) << '\n';
    return *answer;
}

double real_at(const json::object& object, std::string_view key) {
    const auto* value = object.if_contains(key);
    return value != nullptr && value->is_number() ? value->to_number<double>() : 0;
}

std::vector<std::string> row_of(std::string_view name, const json::object& from) {
    return {std::string(name),
            format("{}", number_at(from, "hits")),
            format("{}", number_at(from, "misses")),
            format("{:.1f} %", 100 * real_at(from, "hitRate")),
            format("{}", number_at(from, "keys")),
            from.contains("bytes") ? print_bytes(number_at(from, "bytes")) : "",
            from.contains("saved_ms") ? format("{:.1f} s", real_at(from, "saved_ms") / 1000) : ""};
}

Result<void> show_stats(const CacheOptions& options) {
    TRY(const json::object stats, call(options, "GET", "/api/cache/stats", ""));
    if (options.as_json) return {};
    std::vector<std::vector<std::string>> rows = {
        {"NAMESPACE", "HITS", "MISSES", "HIT RATE", "KEYS", "SIZE", "TIME SAVED"}};
    for (const auto& space : object_at(stats, "namespaces")) {
        const json::object* from = space.value().if_object();
        if (from != nullptr) rows.push_back(row_of(space.key(), *from));
    }
    rows.push_back(row_of("all", stats));
    print_table(rows);
    std::printf("\n");
    rows = {{"LEVEL", "KEYS", "SIZE", "OF", "EVICTED"}};
    for (const auto& level : object_at(stats, "levels")) {
        const json::object* from = level.value().if_object();
        if (from == nullptr) continue;
        rows.push_back({std::string(level.key()), format("{}", number_at(*from, "entries")),
                        print_bytes(number_at(*from, "bytes")),
                        print_bytes(number_at(*from, "bytes_max")),
                        format("{}", number_at(*from, "evicted"))});
    }
    print_table(rows);
    return {};
}

Result<void> forget(const CacheOptions& options, const std::string& path,
                    const json::object& body) {
    TRY(const json::object told,
        call(options, "POST", path, body.empty() ? "" : json::serialize(body)));
    if (!options.as_json) std::printf("%s\n", printable_line(text_at(told, "message")).c_str());
    return {};
}

Result<void> clear(const CacheOptions& options) {
    json::object body;
    if (!options.space.empty()) body["namespace"] = repair_utf8(options.space);
    if (!options.model.empty()) body["model"] = repair_utf8(options.model);
    return forget(options, "/api/cache/clear", body);
}

CLI::App* add_part(CLI::App& command, const char* name, const char* about,
                   const std::shared_ptr<CacheOptions>& options) {
    auto* part = command.add_subcommand(name, about);
    part->add_option("--url", options->url, "Server")->capture_default_str();
    part->add_flag("--json", options->as_json, "Machine-readable output");
    return part;
}

}  // namespace

void add_cache(CLI::App& app, int& status) {
    auto options = std::make_shared<CacheOptions>();
    auto* command =
        app.add_subcommand("cache", "Look at the answers that are kept, and forget them");
    command->require_subcommand(1);
    add_part(*command, "stats", "What is kept, and how often it was found", options)
        ->callback([options, &status] { status = report(show_stats(*options)); });
    auto* clear_part =
        add_part(*command, "clear", "Forget answers; without a choice all of them", options);
    clear_part->add_option("--namespace", options->space,
                           "embedding, rerank, chat, completion or fim");
    clear_part->add_option("--model", options->model, "Only of this model");
    clear_part->callback([options, &status] { status = report(clear(*options)); });
    add_part(*command, "prune", "Take out what has expired", options)->callback([options, &status] {
        status = report(forget(*options, "/api/cache/prune", {}));
    });
    command->footer(
        "Examples:\n"
        "  hearth cache stats\n"
        "  hearth cache clear --namespace embedding\n"
        "  hearth cache clear --model all-minilm");
}

}  // namespace hearth::cli
