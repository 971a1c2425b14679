#include <CLI/CLI.hpp>
#include <boost/json.hpp>
#include <cstdio>
#include <memory>

#include "base/encoding.h"
#include "base/format.h"
#include "cli/commands.h"
#include "cli/connection.h"
#include "cli/output.h"
#include "cli/terminal_text.h"

// hearth rm and hearth cp.
namespace hearth::cli {
namespace json = boost::json;
namespace {

struct ManageOptions {
    std::vector<std::string> models;  // to remove
    std::string from;
    std::string to;
    std::string url = default_address();
};

// Every model is tried; the last failure is returned, those before it are printed.
Result<void> remove_models(const ManageOptions& options) {
    TRY(const auto address, parse_address(options.url));
    Connection connection(address);
    Result<void> last;
    for (const std::string& model : options.models) {
        const json::object body{{"model", repair_utf8(model)}};
        const auto reply = connection.call("DELETE", "/api/delete", json::serialize(body));
        if (reply) {
            std::printf("deleted %s\n", printable_line(model).c_str());
            continue;
        }
        report(last);
        last = std::unexpected(reply.error());
        if (reply.error().code == Code::Unavailable) break;
    }
    return last;
}

Result<void> copy_model(const ManageOptions& options) {
    TRY(const auto address, parse_address(options.url));
    Connection connection(address);
    const json::object body{{"source", repair_utf8(options.from)},
                            {"destination", repair_utf8(options.to)}};
    TRY_VOID(connection.call("POST", "/api/copy", json::serialize(body)));
    std::printf("copied %s to %s\n", printable_line(options.from).c_str(),
                printable_line(options.to).c_str());
    return {};
}

}  // namespace

void add_rm(CLI::App& app, int& status) {
    auto options = std::make_shared<ManageOptions>();
    auto* command = app.add_subcommand("rm", "Delete models from the disk");
    command->add_option("models", options->models, "Models")->required();
    command->add_option("--url", options->url, "Server")->capture_default_str();
    command->footer(
        "Examples:\n"
        "  hearth rm qwen3:0.6b\n"
        "  hearth rm mine:test mine:old\n"
        "Exit codes: 0 all are deleted, 1 one was not, 2 wrong usage.");
    command->callback([options, &status] { status = report(remove_models(*options)); });
}

void add_cp(CLI::App& app, int& status) {
    auto options = std::make_shared<ManageOptions>();
    auto* command = app.add_subcommand("cp", "Give a model a second name");
    command->add_option("from", options->from, "Model")->required();
    command->add_option("to", options->to, "Its new name")->required();
    command->add_option("--url", options->url, "Server")->capture_default_str();
    command->footer("Example:\n  hearth cp qwen3:0.6b small");
    command->callback([options, &status] { status = report(copy_model(*options)); });
}

}  // namespace hearth::cli
