// Usage: hearth_tidy --modules FILE [--fix], run in the repository root with file names on standard
// input. Prints one line for each finding; ends with 1 when there is any.
#include <cstdio>
#include <fstream>
#include <iostream>
#include <string>
#include <string_view>
#include <vector>

#include "tidy/tree.h"

namespace {

using namespace hearth::tidy;

void write_table(const std::vector<Module>& modules) {
    const std::optional<std::string> readme = read_file("README.md");
    if (!readme) return;
    const std::string fixed = replace_module_table(*readme, modules);
    if (fixed != *readme) std::ofstream("README.md", std::ios::binary) << fixed;
}

void print(const Finding& finding) {
    std::printf("%s:%zu: %s: %s\n", finding.file.c_str(), finding.line, finding.rule.c_str(),
                finding.text.c_str());
}

}  // namespace

int main(int argc, char** argv) {
    const std::vector<std::string_view> arguments(argv + 1, argv + argc);
    const bool fix = arguments.size() == 3 && arguments[2] == "--fix";
    if (arguments.size() < 2 || arguments[0] != "--modules" || (arguments.size() > 2 && !fix)) {
        std::fputs("usage: hearth_tidy --modules FILE [--fix] < file-names\n", stderr);
        return 2;
    }
    const std::optional<std::string> text = read_file(std::string(arguments[1]));
    if (!text) {
        std::fputs("hearth_tidy: the table of modules cannot be read\n", stderr);
        return 2;
    }
    const std::vector<Module> modules = parse_modules(*text);
    if (fix) write_table(modules);

    std::vector<std::string> files;
    for (std::string line; std::getline(std::cin, line);) files.push_back(line);
    const std::vector<Finding> findings = check_tree(files, modules);
    for (const Finding& finding : findings) print(finding);
    return findings.empty() ? 0 : 1;
}
