#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "models/catalogue.h"
#include "models/model.h"

// What the GGUF files of one folder are called. Only for the .cc files of this module.
namespace hearth::models {

struct GgufFolder {
    std::string name;     // "NAME", "ORG/NAME", "hf.co/ORG/NAME"; empty: files of many models
    std::string owner;    // "ORG": before names that come from the files
    bool is_hub = false;  // everything in it is one model
};

struct NamedGguf {
    std::string name;  // "NAME:QUANTISATION", or without tag
    std::vector<std::string> aliases;
    GgufModel gguf;  // its files only
};

struct NamedGgufs {
    std::vector<NamedGguf> models;
    std::vector<BrokenModel> broken;
};

// Groups the parts of split files and gives models their projector. The folder's name is theirs
// where all files bear one name apart from the quantisation; the file's name is an alias then.
NamedGgufs name_gguf_files(std::span<const std::filesystem::path> files, const GgufFolder& folder);

}  // namespace hearth::models
