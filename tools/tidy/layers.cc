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

// The module a path below src/ belongs to: the longest name that is a folder of it.
const Module* find_module(std::string_view path, const std::vector<Module>& modules) {
    const Module* best = nullptr;
    for (const Module& module : modules) {
        const bool inside = path.starts_with(module.name) && path.size() > module.name.size() &&
                            path[module.name.size()] == '/';
        if (inside && (best == nullptr || module.name.size() > best->name.size())) best = &module;
    }
    return best;
}

bool contains(const std::vector<std::string>& names, const std::string& name) {
    return std::ranges::find(names, name) != names.end();
}

// TEST_DEPS name targets, in which a folder's slash is an underscore.
std::string target_name(std::string folder) {
    std::ranges::replace(folder, '/', '_');
    return folder;
}

// The worker's executable is the one place where both ends meet: it links what its library may not.
bool is_worker_program(std::string_view path) {
    return path.starts_with("src/backends/worker/") && path.ends_with("main.cc");
}

}  // namespace

std::vector<Module> parse_modules(std::string_view text) {
    std::vector<Module> modules;
    for (const std::string& line : split(text, '\n')) {
        std::vector<std::string> fields = split(line, '|');
        if (fields.size() < 3) continue;
        fields.resize(4);
        modules.push_back({fields[0], fields[1], split_names(fields[2]), split_names(fields[3])});
    }
    return modules;
}

void check_layers(const Source& source, const std::vector<Module>& modules,
                  std::vector<Finding>& findings) {
    if (!source.path.starts_with("src/") || is_worker_program(source.path)) return;
    const Module* own = find_module(std::string_view(source.path).substr(4), modules);
    if (own == nullptr) return;
    for (std::size_t i = 0; i < source.lines.size(); ++i) {
        const std::string_view line = source.lines[i];
        if (!line.starts_with("#include \"")) continue;
        const std::string_view target = line.substr(10, line.find('"', 10) - 10);
        const Module* used = find_module(target, modules);
        // What the build generates has no folder; the fakes of src/testing/ are for tests alone.
        if (target.ends_with(".inc")) continue;
        if (target.starts_with("testing/") && is_test(source.path)) continue;
        if (used == nullptr) {
            findings.push_back({source.path, i + 1, "include",
                                "\"" + std::string(target) + "\" names no file below src/"});
            continue;
        }
        const bool test_only =
            is_test(source.path) && contains(own->test_deps, target_name(used->name));
        if (used == own || contains(own->deps, used->name) || test_only) continue;
        findings.push_back({source.path, i + 1, "layers",
                            own->name + " uses " + used->name + ", which is not among its DEPS"});
    }
}

}  // namespace hearth::tidy
