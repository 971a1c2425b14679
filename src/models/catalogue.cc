#include "models/catalogue.h"

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include "base/format.h"
#include "models/json_file.h"

namespace hearth::models {
namespace fs = std::filesystem;
namespace {

constexpr std::size_t kFoldersMax = 4096;
constexpr std::size_t kNameBytesMax = 512;

// Names of models that are published under several. A folder named like one member of a row answers
// to the others too, unless another folder bears that name.
using Synonyms = std::array<std::string_view, 5>;
constexpr std::array<Synonyms, 1> kSynonyms = {
    Synonyms{"all-minilm", "all-MiniLM-L6-v2", "sentence-transformers/all-MiniLM-L6-v2",
             "all-minilm:22m", "all-minilm:l6-v2"},
};

std::string with_tag(std::string_view name) {
    const std::size_t colon = name.rfind(':');
    const std::size_t slash = name.rfind('/');
    const bool tagged =
        colon != std::string_view::npos && (slash == std::string_view::npos || colon > slash);
    return std::string(name) + (tagged ? "" : ":latest");
}

// Lower case, without the default namespace, with a tag.
std::string lookup_key(std::string_view name) {
    std::string key(name);
    std::ranges::transform(key, key.begin(), [](char c) {
        return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    });
    std::string_view rest = key;
    for (const std::string_view prefix :
         {"registry.ollama.ai/", "hf.co/", "huggingface.co/", "library/"}) {
        if (rest.starts_with(prefix)) rest.remove_prefix(prefix.size());
    }
    return with_tag(rest);
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

struct Candidate {
    fs::path folder;
    std::string name;
};

bool is_model_folder(const fs::path& folder) {
    std::error_code error;
    return fs::exists(folder / "config.json", error);
}

// The visible sub-folders, sorted, so that a scan has one outcome whatever order the disk gives.
std::vector<fs::path> sub_folders(const fs::path& directory) {
    std::vector<fs::path> folders;
    std::error_code error;
    std::size_t seen = 0;
    for (fs::directory_iterator it(directory, error), end;
         !error && it != end && seen < kFoldersMax; it.increment(error), ++seen) {
        std::error_code ignored;
        const bool hidden = it->path().filename().string().starts_with('.');
        if (!hidden && it->is_directory(ignored)) folders.push_back(it->path());
    }
    std::ranges::sort(folders);
    return folders;
}

// The snapshot that refs/main names, or the only one there is.
std::optional<fs::path> hub_snapshot(const fs::path& folder) {
    const std::vector<fs::path> snapshots = sub_folders(folder / "snapshots");
    if (snapshots.size() == 1) return snapshots.front();
    const auto commit = read_file(folder / "refs" / "main", "refs/main", 128);
    if (!commit) return std::nullopt;
    for (const fs::path& snapshot : snapshots) {
        if (commit->starts_with(snapshot.filename().string())) return snapshot;
    }
    return std::nullopt;
}

// "models--ORG--NAME" is ORG/NAME.
std::string hub_name(std::string_view folder) {
    std::string name(folder.substr(folder.find("--") + 2));
    const std::size_t at = name.find("--");
    if (at != std::string::npos) name.replace(at, 2, "/");
    return name;
}

class Scan {
  public:
    void add_directory(const fs::path& directory) {
        for (const fs::path& folder : sub_folders(directory)) {
            const std::string name = folder.filename().string();
            if (is_model_folder(folder)) {
                add({.folder = folder, .name = name});
            } else if (name.starts_with("models--")) {
                add_hub(folder, name);
            } else {
                add_nested(folder, name);
            }
        }
    }

    std::vector<Candidate> candidates;
    std::vector<BrokenModel> broken;

  private:
    void add(Candidate candidate) {
        if (candidates.size() < kFoldersMax) candidates.push_back(std::move(candidate));
    }

    void add_hub(const fs::path& folder, std::string_view name) {
        if (auto snapshot = hub_snapshot(folder)) {
            add({.folder = *std::move(snapshot), .name = hub_name(name)});
        } else {
            broken.push_back(
                {.folder = folder, .reason = "it has no snapshot that refs/main names"});
        }
    }

    void add_nested(const fs::path& folder, const std::string& organisation) {
        bool found = false;
        for (const fs::path& inner : sub_folders(folder)) {
            if (!is_model_folder(inner)) continue;
            found = true;
            add({.folder = inner, .name = organisation + "/" + inner.filename().string()});
        }
        std::error_code error;
        if (!found && !fs::is_empty(folder, error)) {
            broken.push_back({.folder = folder, .reason = "config.json is missing"});
        }
    }
};

}  // namespace

Catalogue Catalogue::scan(std::span<const fs::path> directories) {
    Scan found;
    for (const fs::path& directory : directories) found.add_directory(directory);

    Catalogue catalogue;
    catalogue.broken_ = std::move(found.broken);
    for (const Candidate& candidate : found.candidates) {
        const std::string key = lookup_key(candidate.name);
        if (catalogue.by_name_.contains(key)) {
            catalogue.broken_.push_back(
                {.folder = candidate.folder,
                 .reason = format("another folder is already served as {}", key)});
            continue;
        }
        auto model = read_model(candidate.folder, with_tag(candidate.name));
        if (!model) {
            catalogue.broken_.push_back(
                {.folder = candidate.folder, .reason = std::move(model).error().message});
            continue;
        }
        model->aliases = aliases_of(model->name);
        catalogue.by_name_.emplace(key, 0);
        catalogue.models_.push_back(*std::move(model));
    }
    std::ranges::sort(catalogue.models_, {}, &Model::name);
    catalogue.index_names();
    return catalogue;
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

const Model* Catalogue::find(std::string_view name) const {
    if (name.empty() || name.size() > kNameBytesMax) return nullptr;
    const auto found = by_name_.find(lookup_key(name));
    return found != by_name_.end() ? &models_[found->second] : nullptr;
}

}  // namespace hearth::models
