#include "models/gguf_files.h"

#include <algorithm>
#include <array>
#include <set>
#include <utility>

#include "base/format.h"
#include "models/gguf_name.h"
#include "models/model_name.h"

namespace hearth::models {
namespace fs = std::filesystem;
namespace {

struct File {
    fs::path path;
    GgufFileName said;
};

std::string tagged(std::string_view name, std::string_view tag) {
    return tag.empty() ? std::string(name) : format("{}:{}", name, tag);
}

// The best that is there: projectors are small, and f16 is what everybody publishes.
std::size_t projector_rank(const File& file) {
    constexpr std::array<std::string_view, 4> kOrder = {"f16", "bf16", "q8_0", "f32"};
    const auto found = std::ranges::find(kOrder, lower_case(file.said.quantisation));
    return static_cast<std::size_t>(found - kOrder.begin());
}

class Naming {
  public:
    Naming(std::span<const fs::path> files, const GgufFolder& folder) : folder_(folder) {
        for (const fs::path& path : files) {
            auto said = parse_gguf_file_name(path.filename().string());
            if (!said) continue;
            auto& list = said->is_projector ? projectors_ : models_;
            list.push_back({.path = path, .said = *std::move(said)});
        }
        std::ranges::sort(projectors_, {}, [](const File& file) {
            return std::pair(projector_rank(file), file.path);
        });
        for (const File& file : models_) stems_.insert(lower_case(file.said.name));
    }

    NamedGgufs result() && {
        for (const File& file : models_) {
            if (file.said.parts == 0 || file.said.part == 1) {
                add(file);
            } else {
                add_orphan(file);
            }
        }
        if (models_.empty() && !projectors_.empty()) {
            result_.broken.push_back({.path = projectors_.front().path,
                                      .reason = "there is no model beside this projector"});
        }
        return std::move(result_);
    }

  private:
    // A part that comes with its first one is no model; without, it is half of one.
    void add_orphan(const File& file) {
        const std::string name = file.path.filename().string();
        const std::string end = gguf_part_name("", 1, file.said.parts);
        const std::string first = name.substr(0, name.size() - end.size()) + end;
        const fs::path first_path = file.path.parent_path() / first;
        const auto is_first = [&](const File& other) { return other.path == first_path; };
        if (std::ranges::any_of(models_, is_first) || !orphans_.insert(first_path).second) return;
        result_.broken.push_back(
            {.path = file.path,
             .reason = format("part 1 of {} is missing: {}", file.said.parts, first)});
    }

    void add(const File& file) {
        const bool by_folder = !folder_.name.empty() && (folder_.is_hub || stems_.size() == 1);
        const std::string stem = model_name_part(file.said.name);
        NamedGguf named;
        if (by_folder) {
            named.name = tagged(folder_.name, file.said.quantisation);
            if (!folder_.is_hub) named.aliases.push_back(tagged(stem, file.said.quantisation));
        } else {
            named.name = tagged(folder_.owner.empty() ? stem : folder_.owner + "/" + stem,
                                file.said.quantisation);
        }
        if (!names_.insert(lower_case(named.name)).second && by_folder) {
            named.name = tagged(folder_.name, model_name_part(file.path.stem().string()));
        }
        named.gguf.file = file.path;
        named.gguf.projector = projector_of(file);
        result_.models.push_back(std::move(named));
    }

    // The one of the model's name, else the folder's.
    fs::path projector_of(const File& model) const {
        const std::string name = lower_case(model.said.name);
        const auto same = std::ranges::find_if(projectors_, [&](const File& projector) {
            return lower_case(projector.said.name) == name;
        });
        if (same != projectors_.end()) return same->path;
        return folder_.name.empty() || projectors_.empty() ? fs::path() : projectors_.front().path;
    }

    const GgufFolder& folder_;
    std::vector<File> models_;
    std::vector<File> projectors_;
    std::set<std::string> stems_;
    std::set<std::string> names_;
    std::set<fs::path> orphans_;
    NamedGgufs result_;
};

}  // namespace

NamedGgufs name_gguf_files(std::span<const fs::path> files, const GgufFolder& folder) {
    return Naming(files, folder).result();
}

}  // namespace hearth::models
