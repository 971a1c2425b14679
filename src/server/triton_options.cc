#include "server/triton_options.h"

#include <filesystem>
#include <utility>

#include "base/format.h"
#include "models/model.h"
#include "tokens/tokenizer.h"

namespace hearth::server {
namespace {

namespace fs = std::filesystem;
using remote::kserve::Pooling;

// A folder without a config.json we know, of a family that we do not run, still has a tokenizer.
Result<models::EncoderConfig> read_folder(const fs::path& folder) {
    auto config = models::read_encoder_config(folder);
    if (config) return config;
    const Code code = config.error().code;
    if (code == Code::NotFound || code == Code::Unsupported) return models::EncoderConfig{};
    return config;
}

Result<std::shared_ptr<const remote::TokenSource>> read_source(const std::string& path) {
    fs::path folder = path;
    std::error_code unreadable;
    if (!fs::is_directory(folder, unreadable)) {
        if (folder.filename() != "tokenizer.json" || !fs::exists(folder, unreadable)) {
            return invalid(format("tokenizer: {} is neither a folder nor a tokenizer.json", path));
        }
        folder = folder.parent_path();
    }
    auto config = read_folder(folder);
    if (!config) return invalid(format("tokenizer: {}: {}", path, config.error().message));
    auto tokenizer = tokens::Tokenizer::open(folder, config->lower_case);
    if (!tokenizer) return invalid(format("tokenizer: {}", tokenizer.error().message));
    return std::make_shared<const remote::TokenSource>(*std::move(tokenizer), *std::move(config));
}

std::optional<Pooling> pooling_named(const std::string& name) {
    if (name == "mean") return Pooling::Mean;
    if (name == "cls") return Pooling::First;
    if (name == "last") return Pooling::Last;
    return std::nullopt;
}

Result<remote::TritonRules> rules_of(const BackendSection& section, TokenSources& sources) {
    remote::TritonRules rules{.tokens = nullptr,
                              .pooling = pooling_named(section.pooling),
                              .output = section.output,
                              .window = section.window,
                              .batch = section.batch,
                              .normalize = section.normalize};
    if (section.tokenizer.empty()) return rules;
    std::shared_ptr<const remote::TokenSource>& source = sources[section.tokenizer];
    if (source == nullptr) {
        TRY(source, read_source(section.tokenizer));
    }
    rules.tokens = source;
    return rules;
}

}  // namespace

Result<remote::TritonOptions> plan_triton(const BackendSection& section, TokenSources& sources) {
    remote::TritonOptions options;
    options.refresh_time = section.refresh_time;
    TRY(options.rules, rules_of(section, sources));
    for (const std::string& entry : section.models) {
        TRY(const BackendSection::Served served, section.of_model(entry));
        options.named.push_back(served.its_name);
        TRY(options.of_model[served.its_name], rules_of(served.section, sources));
    }
    return options;
}

}  // namespace hearth::server
