#include "server/doctor.h"

#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>

#include "base/format.h"
#include "cli/commands.h"
#include "cli/connection.h"
#include "cli/output.h"
#include "runtime/shard.h"
#include "server/config.h"

namespace hearth::cli {
namespace {

struct DoctorOptions {
    std::string config;
    std::string data_dir;
    bool as_json = false;
    bool reference = false;
};

Result<void> doctor(const DoctorOptions& options) {
    if (options.reference) {
        std::fputs(server::config_reference().c_str(), stdout);
        return {};
    }
    TRY(auto config, server::load_config(options.config, server::hearth_environment()));
    if (!options.data_dir.empty()) config.server.data_dir = options.data_dir;
    const auto findings = server::examine(config);
    bool broken = false;
    for (const auto& finding : findings) {
        broken = broken || finding.grade == server::Finding::Grade::Broken;
    }
    if (options.as_json) {
        std::puts(server::to_json(findings).c_str());
    } else {
        std::vector<std::vector<std::string>> rows = {{"", "WHAT", "FOUND"}};
        for (const auto& finding : findings) {
            rows.push_back({std::string(to_string(finding.grade)), finding.subject, finding.text});
        }
        print_table(rows);
    }
    if (broken) return fail(Code::Unavailable, "something needed is missing, see above");
    return {};
}

}  // namespace

void add_doctor(CLI::App& app, int& status) {
    auto options = std::make_shared<DoctorOptions>();
    auto* command = app.add_subcommand("doctor", "Explain what was found on this machine");
    command->add_option("-c,--config", options->config, "Configuration file (YAML)");
    command->add_option("-d,--data-dir", options->data_dir, "State and models");
    command->add_flag("--json", options->as_json, "Machine-readable output");
    command->add_flag("--reference", options->reference,
                      "Print the reference of all configuration keys");
    command->footer("Examples:\n  hearth doctor\n  hearth doctor --config hearth.yaml --json");
    command->callback([options, &status] { status = report(doctor(*options)); });
}

}  // namespace hearth::cli
