#include "tidy/tree.h"

#include <sys/stat.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <tuple>

namespace hearth::tidy {
namespace {

// Text that is data or not ours: only its mode is checked.
bool is_data(const std::string& path) {
    return path.find("/testdata/") != std::string::npos || path.starts_with("tests/golden/") ||
           path.ends_with(".json") || path == "LICENSE";
}

bool is_binary(const std::string& text) { return text.find('\0') != std::string::npos; }

// A file may be executed exactly when it begins with #!.
void check_mode(const std::string& path, const std::string& text, std::vector<Finding>& findings) {
    struct stat info{};
    if (::stat(path.c_str(), &info) != 0) return;
    const bool executable = (info.st_mode & S_IXUSR) != 0;
    const bool script = text.starts_with("#!");
    if (executable == script) return;
    findings.push_back({path, 0, "mode",
                        script ? "begins with #! but is not executable"
                               : "is executable but does not begin with #!"});
}

void check_readme(const Source& source, const std::string& text, const std::vector<Module>& modules,
                  std::vector<Finding>& findings) {
    const std::string table = module_table(modules);
    if (text.find(table) != std::string::npos) return;
    findings.push_back({source.path, 0, "module-table",
                        "the table of modules is not the one the build knows; ./dev tidy --fix"});
}

void check_file(const std::string& path, const std::vector<std::string>& files,
                const std::vector<Module>& modules, std::vector<Finding>& findings) {
    const std::optional<std::string> text = read_file(path);
    if (!text || is_binary(*text)) return;
    check_mode(path, *text, findings);
    if (is_data(path)) return;
    const Source source = make_source(path, *text);
    check_text(source, findings);
    if (is_cpp(path)) {
        check_layers(source, modules, findings);
        check_structure(source, findings);
        check_words(source, findings);
    }
    if (path == "README.md") check_readme(source, *text, modules, findings);
    if (path.ends_with(".md") && path != "CHANGELOG.md") {
        std::ranges::move(check_named_files(source, files), std::back_inserter(findings));
    }
}

}  // namespace

std::optional<std::string> read_file(const std::string& path) {
    std::ifstream in(path, std::ios::binary);
    if (!in) return std::nullopt;
    return std::string(std::istreambuf_iterator<char>(in), {});
}

std::vector<Finding> check_tree(const std::vector<std::string>& files,
                                const std::vector<Module>& modules) {
    std::vector<Finding> findings;
    for (const std::string& file : files) check_file(file, files, modules, findings);
    std::ranges::sort(findings, {},
                      [](const Finding& f) { return std::tie(f.file, f.line, f.rule); });
    return findings;
}

}  // namespace hearth::tidy
