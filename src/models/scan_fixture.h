#pragma once

#include <string>
#include <vector>

#include "base/format.h"
#include "models/catalogue.h"
#include "models/test_folder.h"

// What tests ask of a catalogue of one folder.
namespace hearth::models {

inline Catalogue scan(const TestFolder& root, Home home = Home::Folder) {
    const std::vector<Source> sources = {{root.path(), home}};
    return Catalogue::scan(sources);
}

// Why the only thing that is broken is; how many are, when it is not one.
inline std::string only_reason(const Catalogue& catalogue) {
    return catalogue.broken().size() == 1 ? catalogue.broken()[0].reason
                                          : format("{} broken", catalogue.broken().size());
}

}  // namespace hearth::models
