#include "models/catalogue.h"

#include <algorithm>
#include <array>
#include <iterator>
#include <set>
#include <utility>

#include "base/format.h"
#include "models/gguf_name.h"
#include "models/model_name.h"
#include "models/scan.h"

namespace hearth::models {
namespace fs = std::filesystem;
namespace {

constexpr std::size_t kModelNameBytesMax = 512;
constexpr std::string_view kHubPrefix = "hf.co/";

// Names of models that are published under several. A folder named like one member of a row answers
// to the others too, unless another folder bears that name.
using Synonyms = std::array<std::string_view, 5>;
constexpr std::array<Synonyms, 1> kSynonyms = {
    Synonyms{"all-minilm", "all-MiniLM-L6-v2", "sentence-transformers/all-MiniLM-L6-v2",
             "all-minilm:22m", "all-minilm:l6-v2"},
};

// Equal for the spellings of one name. Folders may have names that no registry would accept.
std::string lookup_key(std::string_view name) {
    const auto parsed = ModelName::parse(name);
    return parsed ? parsed->key() : with_tag(lower_case(name));
}

std::vector<std::string> aliases_of(std::string_view name) {
    const std::string key = lookup_key(name);
    std::vector<std::string> aliases;
    for (const Synonyms& row : kSynonyms) {
        const auto same = [&](std::string_view synonym) { return lookup_key(synonym) == key; };
        if (std::ranges::none_of(row, same)) continue;
        for (const std::string_view synonym : row) {
            if (!same(synonym)) aliases.emplace_back(synonym);
        }
    }
    return aliases;
}

// One path twice would list all its models as broken.
std::vector<Source> without_repetitions(std::span<const Source> sources) {
    std::vector<Source> kept;
    std::set<fs::path> seen;
    for (const Source& source : sources) {
        std::error_code error;
        const fs::path real = fs::weakly_canonical(source.path, error);
        if (seen.insert(error ? source.path : real).second) kept.push_back(source);
    }
    return kept;
}

}  // namespace

Catalogue Catalogue::scan(std::span<const Source> sources) {
    Catalogue catalogue;
    for (const Source& source : without_repetitions(sources)) catalogue.add_source(source);
    std::ranges::sort(catalogue.models_, {}, &Model::name);
    catalogue.add_quantisation_aliases();
    catalogue.index_names();
    return catalogue;
}

void Catalogue::add_source(const Source& source) {
    Found found = scan_source(source);
    std::ranges::move(found.broken, std::back_inserter(broken_));
    std::ranges::move(found.folders, std::back_inserter(watched_));
    for (Candidate& candidate : found.candidates) {
        const std::string key = lookup_key(candidate.name);
        if (by_name_.contains(key)) {
            broken_.push_back({.path = candidate.path,
                               .reason = format("another model is already served as {}", key)});
            continue;
        }
        Watched before(candidate.path);  // what is still being copied may be whole later
        auto model = candidate.read(with_tag(candidate.name));
        if (!model) {
            const Code code = model.error().code;
            const bool foreign = code == Code::NotFound || code == Code::Unsupported;
            if (candidate.may_be_foreign && foreign) continue;
            watched_.push_back(std::move(before));
            broken_.push_back({.path = candidate.path, .reason = std::move(model).error().message});
            continue;
        }
        model->home = source.home;
        model->aliases = aliases_of(model->name);
        std::ranges::move(candidate.aliases, std::back_inserter(model->aliases));
        by_name_.emplace(key, 0);
        models_.push_back(*std::move(model));
    }
}

// "NAME" for the best of NAME:Q4_K_M, NAME:Q8_0 ...; a NAME:latest keeps its name.
void Catalogue::add_quantisation_aliases() {
    std::map<std::string, std::pair<std::size_t, std::size_t>> best;  // rank and model by name
    for (std::size_t i = 0; i < models_.size(); ++i) {
        const std::string& name = models_[i].name;
        const std::size_t colon = name.rfind(':');
        const std::string_view tag = std::string_view(name).substr(colon + 1);
        if (!is_quantisation(tag)) continue;
        const std::pair candidate{quantisation_rank(tag), i};
        const auto [at, first] = best.try_emplace(lower_case(name.substr(0, colon)), candidate);
        if (!first) at->second = std::min(at->second, candidate);
    }
    for (const auto& [key, found] : best) {
        Model& model = models_[found.second];
        model.aliases.push_back(model.name.substr(0, model.name.rfind(':')));
    }
}

// Names before aliases: a folder's own name is never hidden by another folder's alias.
void Catalogue::index_names() {
    by_name_.clear();
    for (std::size_t i = 0; i < models_.size(); ++i) by_name_[lookup_key(models_[i].name)] = i;
    for (std::size_t i = 0; i < models_.size(); ++i) {
        std::erase_if(models_[i].aliases, [&](const std::string& alias) {
            return !by_name_.try_emplace(lookup_key(alias), i).second;
        });
    }
}

bool Catalogue::is_stale() const { return std::ranges::any_of(watched_, &Watched::has_changed); }

const Model* Catalogue::find(std::string_view name) const {
    if (name.empty() || name.size() > kModelNameBytesMax) return nullptr;
    const std::string key = lookup_key(name);
    auto found = by_name_.find(key);
    if (found == by_name_.end() && key.starts_with(kHubPrefix)) {
        found = by_name_.find(std::string_view(key).substr(kHubPrefix.size()));
    } else if (found == by_name_.end()) {
        found = by_name_.find(std::string(kHubPrefix) + key);
    }
    return found != by_name_.end() ? &models_[found->second] : nullptr;
}

}  // namespace hearth::models
