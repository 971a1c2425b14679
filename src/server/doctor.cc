#include "server/doctor.h"

#include <unistd.h>

#include <boost/json.hpp>
#include <fstream>
#include <sstream>

#include "base/format.h"
#include "models/catalogue.h"
#include "runtime/shard.h"
#include "server/programs.h"
#include "server/upstreams.h"
#include "telemetry/log.h"

namespace hearth::server {
namespace {

using Grade = Finding::Grade;

constexpr std::chrono::seconds kBackendPatience{6};

std::string processor_flags() {
    std::ifstream info("/proc/cpuinfo");
    for (std::string line; std::getline(info, line);) {
        if (line.starts_with("flags")) return line + " ";
    }
    return "";
}

Finding examine_processor() {
    const std::string flags = processor_flags();
    std::string features;
    for (const std::string_view name :
         {"avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_int8"}) {
        if (flags.contains(" " + std::string(name) + " ")) features += format(" {}", name);
    }
    return {Grade::Good, "processor",
            format("{} usable cores,{}", runtime::cpu_quota(),
                   features.empty() ? " no vector extension known" : features)};
}

Finding examine_worker() {
    const auto program = program_beside("hearth-worker");
    if (access(program.c_str(), X_OK) == 0) return {Grade::Good, "worker", program.string()};
    return {Grade::Broken, "worker", program.string() + " is missing: build it with ./dev build"};
}

void examine_models(const Config& config, std::vector<Finding>& findings) {
    const auto catalogue = models::Catalogue::scan(config.model_sources());
    for (const auto& model : catalogue.models()) {
        findings.push_back(
            {Grade::Good, "model " + model.name,
             format("{} ({} {}, window {}, {} dimensions)", model.folder.string(), model.family,
                    model.precision, model.context_length, model.embedding_length)});
    }
    for (const auto& broken : catalogue.broken()) {
        findings.push_back({Grade::Note, "refused " + broken.path.filename().string(),
                            format("{}: {}", broken.path.string(), broken.reason)});
    }
    if (catalogue.models().empty()) {
        const bool elsewhere = !config.backends.empty();
        findings.push_back({elsewhere ? Grade::Note : Grade::Broken, "models",
                            "no model was found: run ./dev setup, or put one into " +
                                config.model_sources().front().path.string()});
    }
}

// Each is asked for its models.
void examine_backends(const Config& config, std::vector<Finding>& findings) {
    auto plans = plan_upstreams(config);
    if (!plans) {
        findings.push_back({Grade::Broken, "backends", plans.error().message});
        return;
    }
    log::configure("hearth", log::Level::Off);  // the findings say it
    metrics::Registry registry;
    runtime::Shards shards(1);
    Upstreams upstreams(shards, registry, *std::move(plans));
    shards.start();
    upstreams.start(kBackendPatience);
    const auto standings = upstreams.standings();
    for (std::size_t i = 0; i < standings.size(); ++i) {
        const UpstreamPlan& plan = upstreams.members()[i].plan;
        const Upstreams::Standing& standing = standings[i];
        if (plan.found && !standing.up) continue;
        const std::string what =
            format("{} at {}", plan.options.kind, plan.options.url.address + plan.options.url.base);
        const double ms = std::chrono::duration<double, std::milli>(standing.took).count();
        const bool good = standing.up && standing.problem.empty();
        std::string said =
            standing.up      ? format("{} models, answered in {:.1f} ms", standing.models, ms)
            : standing.heard ? standing.reason
                             : format("no answer within {} s", kBackendPatience.count());
        if (standing.up && !good) said += "; " + standing.problem;
        findings.push_back({good ? Grade::Good : Grade::Broken, "backend " + plan.options.name,
                            format("{}: {}", what, said)});
    }
    upstreams.stop();
    shards.stop();
}

}  // namespace

std::string_view to_string(Finding::Grade grade) {
    switch (grade) {
        case Grade::Good: return "ok";
        case Grade::Note: return "note";
        case Grade::Broken: return "broken";
    }
    return "broken";
}

std::vector<Finding> examine(const Config& config) {
    std::vector<Finding> findings = {examine_processor(), examine_worker()};
    findings.push_back({Grade::Good, "data", config.data_dir().string()});
    for (const auto& source : config.model_sources()) {
        std::error_code unreadable;
        const bool there = std::filesystem::is_directory(source.path, unreadable);
        // Stores of other programs, and the own one, need not be there.
        if (!there && source.home != models::Home::Folder) continue;
        findings.push_back({there ? Grade::Good : Grade::Note, "models in",
                            source.path.string() + (there ? "" : " (no such folder)")});
    }
    examine_models(config, findings);
    examine_backends(config, findings);
    return findings;
}

std::string to_json(const std::vector<Finding>& findings) {
    boost::json::array list;
    for (const auto& finding : findings) {
        list.push_back({{"grade", std::string(to_string(finding.grade))},
                        {"subject", finding.subject},
                        {"text", finding.text}});
    }
    return boost::json::serialize(list);
}

}  // namespace hearth::server
