#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "tidy/source.h"

namespace hearth::tidy {

// A module as the configure step described it (modules.txt: name|about|deps|test
// deps|folder|sources). Mostly one folder is one module; a folder of two tells them apart by their
// sources.
struct Module {
    std::string name;
    std::string about;
    std::vector<std::string> deps;
    std::vector<std::string> test_deps;
    std::string folder;
    std::vector<std::string> sources;
};

std::vector<Module> parse_modules(std::string_view text);

// An include of another folder is among the DEPS of this one; includes are project-absolute.
void check_layers(const Source& source, const std::vector<Module>& modules,
                  std::vector<Finding>& findings);

// Functions of at most 70 lines, files under 500, no capturing lambda that is a coroutine.
void check_structure(const Source& source, std::vector<Finding>& findings);

// Words that are banned, or banned outside one folder; parameters of *_task.
void check_words(const Source& source, std::vector<Finding>& findings);

// Addresses of hosts in scripts, paths of one machine anywhere, white space at line ends.
void check_text(const Source& source, std::vector<Finding>& findings);

// The table between the two marks in README.md.
std::string module_table(const std::vector<Module>& modules);
// `readme` with the table between the marks replaced; unchanged when the marks are missing.
std::string replace_module_table(const std::string& readme, const std::vector<Module>& modules);

// Paths in back quotes that start with a folder of the repository.
std::vector<Finding> check_named_files(const Source& document,
                                       const std::vector<std::string>& existing);

}  // namespace hearth::tidy
