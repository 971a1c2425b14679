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

namespace hearth::models {

// A folder that looks like a model and cannot be served; `reason` is one sentence.
struct BrokenModel {
    std::filesystem::path folder;
    std::string reason;
};

// What the models directories held at the moment of the scan. Immutable: a change on disk is a new
// scan.
//
// A directory is searched for NAME/, ORG/NAME/ and the layout of the Hugging Face hub's cache
// (models--ORG--NAME/snapshots/COMMIT/). Where two folders claim one name, the earlier directory
// wins and the later folder is listed as broken. Hidden folders are skipped; at most 4,096 folders
// are looked at.
//
// Cost: the configuration files, the weights' header and 16 sampled blocks of each model; no
// vocabulary is parsed and no whole weight file is read.
class Catalogue {
  public:
    Catalogue() = default;
    // A directory that does not exist holds no models.
    static Catalogue scan(std::span<const std::filesystem::path> directories);

    // Sorted by name.
    const std::vector<Model>& models() const { return models_; }
    const std::vector<BrokenModel>& broken() const { return broken_; }

    // By name or alias, without regard to case; "library/" in front and ":latest" behind may be
    // left out or added. nullptr when unknown; valid as long as the catalogue.
    const Model* find(std::string_view name) const;

  private:
    void index_names();

    std::vector<Model> models_;
    std::vector<BrokenModel> broken_;
    std::map<std::string, std::size_t, std::less<>> by_name_;  // lower case, with tag
};

// Reads one folder as the catalogue does; `name` without tag becomes the model's name. Errors as
// read_encoder_config, and one sentence when the tokenizer or the weights are missing or do not
// match.
Result<Model> read_model(const std::filesystem::path& folder, std::string name);

}  // namespace hearth::models
