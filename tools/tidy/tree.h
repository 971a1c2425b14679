#pragma once

#include <optional>
#include <string>
#include <vector>

#include "tidy/rules.h"

namespace hearth::tidy {

std::optional<std::string> read_file(const std::string& path);

// Every rule over the files named, relative to the current folder; sorted by place.
std::vector<Finding> check_tree(const std::vector<std::string>& files,
                                const std::vector<Module>& modules);

}  // namespace hearth::tidy
