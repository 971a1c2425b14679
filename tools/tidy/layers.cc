#include <algorithm>

#include "tidy/rules.h"

namespace hearth::tidy {
namespace {

std::vector<std::string> split(std::string_view text, char separator) {
    std::vector<std::string> parts;
    while (true) {
        const std::size_t end = text.find(separator);
        parts.emplace_back(text.substr(0, end));
        if (end == std::string_view::npos) return parts;
        text.remove_prefix(end + 1);
    }
}

std::vector<std::string> split_names(std::string_view text) {
    std::vector<std::string> names = split(text, ',');
    std::erase(names, "");
    return names;
}

// "a/b/c.h" is "a/b" and "c".
std::string_view folder_of(std::string_view path) { return path.substr(0, path.rfind('/')); }
std::string_view stem_of(std::string_view path) {
    const std::string_view file = path.substr(path.rfind('/') + 1);
    return file.substr(0, file.find('.'));
}

bool has_source(const Module& module, std::string_view stem) {
    return std::ranges::any_of(module.sources, [&](const std::string& source) {
        return stem_of(source) == stem || stem == std::string(stem_of(source)) + "_test";
    });
}

// The modules a path below src/ may belong to: those of its folder (or of the nearest above it),
// and among several the one that compiles the file or its other half.
std::vector<const Module*> owners(std::string_view path, const std::vector<Module>& modules) {
    std::vector<const Module*> found;
    for (std::string_view folder = folder_of(path); found.empty(); folder = folder_of(folder)) {
        for (const Module& module : modules) {
            if (module.folder == folder) found.push_back(&module);
        }
        if (folder.find('/') == std::string_view::npos) break;
    }
    for (const Module* module : found) {
        if (has_source(*module, stem_of(path))) return {module};
    }
    return found;
}

bool contains(const std::vector<std::string>& names, const std::string& name) {
    return std::ranges::find(names, name) != names.end();
}

// TEST_DEPS name targets, in which a folder's slash is an underscore.
std::string target_name(std::string folder) {
    std::ranges::replace(folder, '/', '_');
    return folder;
}

bool may_use(const Module& own, const Module& used, bool in_test) {
    return &own == &used || contains(own.deps, used.name) ||
           (in_test && contains(own.test_deps, target_name(used.name)));
}

// A program's main is where ends meet: it links what its folder's library may not.
bool is_program(std::string_view path) {
    return path.starts_with("src/backends/") && path.ends_with("main.cc");
}

// What the build generates has no folder; the fakes of src/testing/ are for tests alone.
bool is_exempt(std::string_view target, bool in_test) {
    return target.ends_with(".inc") || (in_test && target.starts_with("testing/"));
}

}  // namespace

std::vector<Module> parse_modules(std::string_view text) {
    std::vector<Module> modules;
    for (const std::string& line : split(text, '\n')) {
        std::vector<std::string> fields = split(line, '|');
        if (fields.size() < 3) continue;
        fields.resize(6);
        const std::string folder = fields[4].empty() ? fields[0] : fields[4];
        modules.push_back({fields[0], fields[1], split_names(fields[2]), split_names(fields[3]),
                           folder, split_names(fields[5])});
    }
    return modules;
}

void check_layers(const Source& source, const std::vector<Module>& modules,
                  std::vector<Finding>& findings) {
    if (!source.path.starts_with("src/") || is_program(source.path)) return;
    const auto own = owners(std::string_view(source.path).substr(4), modules);
    if (own.empty()) return;
    const bool in_test = is_test(source.path);
    for (std::size_t i = 0; i < source.lines.size(); ++i) {
        const std::string_view line = source.lines[i];
        if (!line.starts_with("#include \"")) continue;
        const std::string_view target = line.substr(10, line.find('"', 10) - 10);
        if (is_exempt(target, in_test)) continue;
        const auto used = owners(target, modules);
        if (used.empty()) {
            findings.push_back({source.path, i + 1, "include",
                                "\"" + std::string(target) + "\" names no file below src/"});
            continue;
        }
        const bool allowed = std::ranges::any_of(own, [&](const Module* from) {
            return std::ranges::any_of(
                used, [&](const Module* to) { return may_use(*from, *to, in_test); });
        });
        if (allowed) continue;
        findings.push_back(
            {source.path, i + 1, "layers",
             own.front()->name + " uses " + used.front()->name + ", which is not among its DEPS"});
    }
}

}  // namespace hearth::tidy
