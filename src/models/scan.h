#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "base/error.h"
#include "models/catalogue.h"
#include "models/model.h"
#include "models/watched.h"

// Which models a source may hold, by names alone. Only for the .cc files of this module.
namespace hearth::models {

// Something that looks like a model and has not been read yet.
struct Candidate {
    std::string name;  // with or without a tag
    std::vector<std::string> aliases;
    std::filesystem::path path;  // the folder or file, for messages
    std::function<Result<Model>(std::string name)> read;
    // Of a cache, where other programs keep what is none of our business.
    bool may_be_foreign = false;
};

struct Found {
    std::vector<Candidate> candidates;
    std::vector<BrokenModel> broken;
    std::vector<Watched> folders;  // those looked into
};

// Looks at 4,096 entries at most; sorted, so that a scan has one outcome whatever order the disk
// gives.
Found scan_source(const Source& source);

// "NAME" is "NAME:latest".
std::string with_tag(std::string_view name);

}  // namespace hearth::models
