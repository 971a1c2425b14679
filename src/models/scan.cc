#include "models/scan.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "base/format.h"
#include "models/gguf_files.h"
#include "models/gguf_model.h"
#include "models/gguf_name.h"
#include "models/json_file.h"
#include "models/model_name.h"
#include "models/store.h"

namespace hearth::models {
namespace fs = std::filesystem;
namespace {

constexpr std::size_t kFolderEntriesMax = 4096;

// The visible content of one folder, sorted.
struct Entries {
    std::vector<fs::path> folders;
    std::vector<fs::path> ggufs;
    bool empty = true;
};

std::optional<std::string> file_text(const fs::path& file) {
    const auto text = read_file(file, "refs/main", 128);
    return text ? std::optional(*text) : std::nullopt;
}

// A link to where it stands, or further up: what is below has been seen, or is not meant.
bool leads_back(const fs::path& folder) {
    std::error_code error;
    if (!fs::is_symlink(folder, error)) return false;
    const fs::path target = fs::canonical(folder, error);
    const fs::path from = fs::canonical(folder.parent_path(), error);
    return error || std::ranges::mismatch(target, from).in1 == target.end();
}

// "models--ORG--NAME" is ORG/NAME.
std::string hub_name(std::string_view folder) {
    std::string name(folder.substr(folder.find("--") + 2));
    const std::size_t at = name.find("--");
    if (at != std::string::npos) name.replace(at, 2, "/");
    return name;
}

Candidate gguf_candidate(NamedGguf named) {
    const fs::path file = named.gguf.file;
    return {.name = std::move(named.name),
            .aliases = std::move(named.aliases),
            .path = file,
            .read = [gguf = std::move(named.gguf)](std::string name) {
                return read_gguf_model(gguf, std::move(name));
            }};
}

class FolderScan {
  public:
    explicit FolderScan(Home home) : is_cache_(home == Home::HubCache) {}

    void add_source(const fs::path& source) {
        const Entries entries = list(source);
        if (!is_cache_) add_ggufs(entries.ggufs, {});
        for (const fs::path& folder : entries.folders) {
            const std::string name = folder.filename().string();
            if (name.starts_with("models--")) {
                add_hub(folder, name);
            } else if (!is_cache_) {
                add_named(folder, name);
            }
        }
        if (seen_ <= kFolderEntriesMax) return;
        found.broken.push_back(
            {.path = source,
             .reason =
                 format("only its first {} files and folders were looked at", kFolderEntriesMax)});
    }

    Found found;

  private:
    Entries list(const fs::path& folder) {
        Entries entries;
        std::error_code error;
        found.folders.emplace_back(folder);
        for (fs::directory_iterator it(folder, error), end;
             !error && it != end && ++seen_ <= kFolderEntriesMax; it.increment(error)) {
            std::error_code ignored;
            entries.empty = false;
            const std::string name = it->path().filename().string();
            if (name.starts_with('.')) continue;
            if (it->is_directory(ignored)) {
                if (leads_back(it->path())) continue;
                entries.folders.push_back(it->path());
            } else if (parse_gguf_file_name(name)) {
                entries.ggufs.push_back(it->path());
            }
        }
        std::ranges::sort(entries.folders);
        std::ranges::sort(entries.ggufs);
        return entries;
    }

    // Large models have a folder for each quantisation.
    void add_quantisation_folders(Entries& entries) {
        std::erase_if(entries.folders, [&](const fs::path& folder) {
            if (!is_quantisation(folder.filename().string())) return false;
            const Entries inner = list(folder);
            entries.ggufs.insert(entries.ggufs.end(), inner.ggufs.begin(), inner.ggufs.end());
            return !inner.ggufs.empty();
        });
    }

    void add_ggufs(const std::vector<fs::path>& files, const GgufFolder& folder) {
        auto grouped = name_gguf_files(files, folder);
        for (NamedGguf& named : grouped.models) {
            found.candidates.push_back(gguf_candidate(std::move(named)));
        }
        std::ranges::move(grouped.broken, std::back_inserter(found.broken));
    }

    void add_folder_model(const fs::path& folder, std::string name) {
        found.candidates.push_back({.name = std::move(name),
                                    .aliases = {},
                                    .path = folder,
                                    .read =
                                        [folder](std::string full_name) {
                                            return read_model(folder, std::move(full_name));
                                        },
                                    .may_be_foreign = is_cache_});
    }

    // A folder model, GGUF files, or both. False: neither.
    bool add_content(const fs::path& folder, const Entries& entries, const std::string& name,
                     const GgufFolder& ggufs) {
        std::error_code error;
        const bool configured = fs::exists(folder / "config.json", error);
        // Repositories of GGUF files often keep the configuration of what they were made from.
        if (configured &&
            (entries.ggufs.empty() || fs::exists(folder / "model.safetensors", error))) {
            add_folder_model(folder, name);
        }
        add_ggufs(entries.ggufs, ggufs);
        return configured || !entries.ggufs.empty();
    }

    void add_hub(const fs::path& folder, std::string_view folder_name) {
        const auto snapshot = hub_snapshot(folder);
        if (!snapshot) {
            if (is_cache_) return;
            found.broken.push_back(
                {.path = folder, .reason = "it has no snapshot that refs/main names"});
            return;
        }
        const std::string name = hub_name(folder_name);
        Entries entries = list(*snapshot);
        add_quantisation_folders(entries);
        const bool has_owner = name.contains('/');
        add_content(*snapshot, entries, name,
                    {.name = has_owner ? format("{}/{}", kHubHost, name) : name, .is_hub = true});
    }

    // The snapshot that refs/main names, or the only one there is.
    std::optional<fs::path> hub_snapshot(const fs::path& folder) {
        const std::vector<fs::path> snapshots = list(folder / "snapshots").folders;
        if (snapshots.size() == 1) return snapshots.front();
        const auto commit = file_text(folder / "refs" / "main");
        if (!commit) return std::nullopt;
        for (const fs::path& snapshot : snapshots) {
            if (commit->starts_with(snapshot.filename().string())) return snapshot;
        }
        return std::nullopt;
    }

    // NAME/ holds a model, or ORG/ holds them in folders of their own.
    void add_named(const fs::path& folder, const std::string& name) {
        Entries entries = list(folder);
        add_quantisation_folders(entries);
        bool any = add_content(folder, entries, name, {.name = name});
        std::error_code error;
        if (!fs::exists(folder / "config.json", error)) {
            for (const fs::path& inner : entries.folders) any |= add_nested(inner, name);
        }
        if (!any && !entries.empty) {
            found.broken.push_back(
                {.path = folder, .reason = "it has neither config.json nor a GGUF file"});
        }
    }

    bool add_nested(const fs::path& folder, const std::string& organisation) {
        Entries entries = list(folder);
        add_quantisation_folders(entries);
        const std::string name = organisation + "/" + folder.filename().string();
        return add_content(folder, entries, name, {.name = name, .owner = organisation});
    }

    bool is_cache_;
    std::size_t seen_ = 0;
};

Found scan_store(const fs::path& root) {
    const Store store(root);
    Store::Listing listing = store.listing();
    Found found;
    found.folders = std::move(listing.folders);
    for (const ModelName& name : listing.names) {
        found.candidates.push_back(
            {.name = name.display(),
             .aliases = {},
             .path = root / "manifests" / name.relative_path(),
             .read = [store, name](const std::string&) { return read_store_model(store, name); }});
    }
    for (const fs::path& file : listing.refused) {
        found.broken.push_back(
            {.path = root / "manifests" / file, .reason = "its path is no name of a model"});
    }
    if (!listing.complete) {
        found.broken.push_back(
            {.path = root / "manifests", .reason = "not all of its folders were looked at"});
    }
    return found;
}

}  // namespace

std::string with_tag(std::string_view name) {
    const std::size_t colon = name.rfind(':');
    const std::size_t slash = name.rfind('/');
    const bool tagged =
        colon != std::string_view::npos && (slash == std::string_view::npos || colon > slash);
    return std::string(name) + (tagged ? "" : ":latest");
}

Found scan_source(const Source& source) {
    if (source.home == Home::OwnStore || source.home == Home::OllamaStore ||
        is_store(source.path)) {
        return scan_store(source.path);
    }
    FolderScan scan(source.home);
    scan.add_source(source.path);
    return std::move(scan.found);
}

}  // namespace hearth::models
