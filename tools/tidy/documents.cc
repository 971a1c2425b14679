#include <algorithm>
#include <regex>

#include "tidy/rules.h"

namespace hearth::tidy {
namespace {

constexpr std::string_view kTableBegin = "<!-- modules: begin -->\n";
constexpr std::string_view kTableEnd = "<!-- modules: end -->";

// A path may name a file, a folder, or, with a *, any of several files.
bool exists(const std::string& path, const std::vector<std::string>& files) {
    const std::size_t star = path.find('*');
    if (star == std::string::npos && path.back() != '/') {
        return std::ranges::any_of(files, [&](const std::string& file) {
            return file == path || file.starts_with(path + '/');
        });
    }
    const std::string head = path.substr(0, star);
    const std::string tail = star == std::string::npos ? "" : path.substr(star + 1);
    return std::ranges::any_of(files, [&](const std::string& file) {
        return file.starts_with(head) && file.ends_with(tail);
    });
}

}  // namespace

std::string module_table(const std::vector<Module>& modules) {
    std::string table = "| folder | what it is | may use |\n| --- | --- | --- |\n";
    for (const Module& module : modules) {
        std::string deps;
        for (const std::string& dep : module.deps) deps += (deps.empty() ? "" : ", ") + dep;
        const std::string second = module.folder == module.name ? "" : " (" + module.name + ")";
        table += "| `src/" + module.folder + "/`" + second + " | " + module.about + " | " + deps +
                 " |\n";
    }
    return table;
}

std::string replace_module_table(const std::string& readme, const std::vector<Module>& modules) {
    const std::size_t begin = readme.find(kTableBegin);
    const std::size_t end = readme.find(kTableEnd);
    if (begin == std::string::npos || end == std::string::npos || end < begin) return readme;
    return readme.substr(0, begin + kTableBegin.size()) + module_table(modules) +
           readme.substr(end);
}

std::vector<Finding> check_named_files(const Source& document,
                                       const std::vector<std::string>& existing) {
    static const std::regex path(
        R"(`((?:src|tools|tests|bench|cmake|scripts|docs|\.ci)/[\w./*-]*|[A-Z]+\.md|CMakeLists\.txt)`)");
    std::vector<Finding> findings;
    for (std::size_t i = 0; i < document.lines.size(); ++i) {
        const std::string& line = document.lines[i];
        for (std::sregex_iterator it(line.begin(), line.end(), path), end; it != end; ++it) {
            const std::string name = (*it)[1];
            if (exists(name, existing)) continue;
            findings.push_back({document.path, i + 1, "file-names", name + " does not exist"});
        }
    }
    return findings;
}

}  // namespace hearth::tidy
