#pragma once

#include <cstddef>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "models/model.h"
#include "models/watched.h"

namespace hearth::models {

// A place that holds models.
//
// OwnStore and OllamaStore: manifests/ and blobs/ in Ollama's layout; every manifest is a model.
// HubCache: models--ORG--NAME/snapshots/COMMIT/ of the Hugging Face hub, whose GGUF files are
// hf.co/ORG/NAME:QUANTISATION. Folders of it that Hearth cannot serve are none of its business.
// Folder: any of these, and models put there by hand: FILE.gguf, NAME/ and ORG/NAME/ with a Hugging
// Face model or GGUF files. "qwen2.5-coder-q4_k_m.gguf" is qwen2.5-coder:q4_k_m; NAME/ and
// ORG/NAME/ give their own name to files of one model. "mmproj" files are projectors of what lies
// beside them.
//
// What does not exist or may not be read holds no models.
struct Source {
    std::filesystem::path path;
    Home home = Home::Folder;
};

// A folder or file that looks like a model and cannot be served; `reason` is one sentence.
struct BrokenModel {
    std::filesystem::path path;
    std::string reason;
};

// What the sources held at the moment of the scan. Immutable: a change on disk is a new scan.
//
// Where two models claim one name, the earlier source wins and the later one is listed as broken. A
// name without tag also finds the one quantisation that is there, of several the first in the order
// of quantisation_rank(). Hidden files are skipped; at most 4,096 entries of each source are looked
// at.
//
// Cost: configuration files, headers, manifests and 16 sampled blocks of each file; no whole weight
// file is read.
class Catalogue {
  public:
    Catalogue() = default;
    static Catalogue scan(std::span<const Source> sources);

    // Sorted by name.
    const std::vector<Model>& models() const { return models_; }
    const std::vector<BrokenModel>& broken() const { return broken_; }
    // Whether a folder that was looked into has changed since, or what was broken: another scan may
    // find something else. Cost: one system call for each.
    bool is_stale() const;

    // By name or alias, without regard to case; registry, "library/" and ":latest" may be left out
    // or added, and "hf.co/" where nothing else bears the name. nullptr when unknown; valid as long
    // as the catalogue.
    const Model* find(std::string_view name) const;

  private:
    void add_source(const Source& source);
    void add_quantisation_aliases();
    void index_names();

    std::vector<Model> models_;
    std::vector<BrokenModel> broken_;
    std::vector<Watched> watched_;
    std::map<std::string, std::size_t, std::less<>> by_name_;  // lookup keys
};

// Reads one folder as the catalogue does; `name` without tag becomes the model's name. Errors as
// read_encoder_config, and one sentence when the tokenizer or the weights are missing or do not
// match.
Result<Model> read_model(const std::filesystem::path& folder, std::string name);

}  // namespace hearth::models
