#include "fetch/hub.h"

#include <algorithm>
#include <boost/json.hpp>
#include <charconv>
#include <set>

#include "base/format.h"
#include "fetch/json_text.h"
#include "fetch/outcome.h"
#include "fetch/ranges.h"
#include "models/gguf.h"

namespace hearth::fetch {
namespace json = boost::json;
namespace {

constexpr std::size_t kPageBytesMax = 4 << 20;
constexpr std::size_t kPagesMax = 20;
constexpr std::size_t kFilesMax = 20'000;
constexpr std::size_t kPathBytesMax = 1 << 10;
constexpr std::size_t kSplitPartsMax = 120;  // with projector and config not over 128 layers
constexpr std::size_t kNamedMax = 12;        // quantisations in a message
constexpr std::string_view kPreferred = "q4_k_m";

bool is_sound_path(std::string_view path) {
    if (path.empty() || path.size() > kPathBytesMax) return false;
    while (true) {
        const std::size_t slash = path.find('/');
        const std::string_view part = path.substr(0, slash);
        if (part.empty() || part == "." || part == "..") return false;
        if (slash == std::string_view::npos) return true;
        path.remove_prefix(slash + 1);
    }
}

std::uint64_t size_member(const json::object& entry) {
    const json::value* size = entry.if_contains("size");
    boost::system::error_code error = json::error::not_number;
    const auto bytes = size != nullptr ? size->to_number<std::uint64_t>(error) : 0;
    return error ? 0 : bytes;
}

std::optional<HubFile> file_of(const json::value& value) {
    const json::object* entry = value.if_object();
    if (entry == nullptr || text_member(value, "type") != "file") return std::nullopt;
    HubFile file{.path = text_member(value, "path"), .size = size_member(*entry), .digest = {}};
    if (!is_sound_path(file.path)) return std::nullopt;
    const json::value* lfs = entry->if_contains("lfs");
    if (lfs == nullptr || !lfs->is_object()) return file;
    if (auto digest = models::Digest::parse("sha256:" + text_member(*lfs, "oid"))) {
        file.digest = *std::move(digest);
        file.size = size_member(lfs->get_object());
    }
    return file;
}

std::string file_name(const HubFile& file) {
    return models::lower_case(file.path.substr(file.path.rfind('/') + 1));
}

bool is_gguf(const HubFile& file) { return file_name(file).ends_with(".gguf"); }

bool is_projector(const HubFile& file) { return file_name(file).contains("mmproj"); }

// Beside the models a repository may hold projectors, importance matrices and draft heads.
bool is_model(const HubFile& file) {
    const std::string name = file_name(file);
    const auto holds = [&](std::string_view word) { return name.contains(word); };
    return is_gguf(file) && !is_projector(file) && !holds("imatrix") && !name.starts_with("mtp-") &&
           !name.starts_with("eagle3-") && !name.starts_with("draft-");
}

// "NAME-00002-of-00005.gguf": the second of five.
struct Split {
    std::string prefix;
    std::size_t number = 1;
    std::size_t count = 1;
};

Split split_of(std::string_view path) {
    constexpr std::size_t kDigits = 5;
    constexpr std::size_t kTailBytes = 1 + kDigits + 4 + kDigits + 5;
    Split whole{.prefix = std::string(path)};
    if (path.size() <= kTailBytes) return whole;
    const std::string_view tail = path.substr(path.size() - kTailBytes);
    if (tail[0] != '-' || tail.substr(1 + kDigits, 4) != "-of-") return whole;
    const auto number = [&](std::size_t at) {
        std::size_t value = 0;
        const char* end = tail.data() + at + kDigits;
        const auto [stop, error] = std::from_chars(tail.data() + at, end, value);
        return error == std::errc{} && stop == end ? value : 0;
    };
    Split split{.prefix = std::string(path.substr(0, path.size() - kTailBytes)),
                .number = number(1),
                .count = number(1 + kDigits + 4)};
    if (split.number == 0 || split.count == 0 || split.number > split.count) return whole;
    return split;
}

// "Q4_K" is not in "Q4_K_M", nor "Q4_XS" in "IQ4_XS".
bool names_quantisation(std::string_view path, std::string_view wanted) {
    const std::string text = models::lower_case(path);
    const auto is_edge = [](char c) { return c == '-' || c == '.' || c == '/'; };
    for (std::size_t at = text.find(wanted); at != std::string::npos;
         at = text.find(wanted, at + 1)) {
        const std::size_t end = at + wanted.size();
        const bool begins = at == 0 || is_edge(text[at - 1]) || text[at - 1] == '_';
        if (begins && (end == text.size() || is_edge(text[end]))) return true;
    }
    return false;
}

// For a message: the last part of each name, "Q4_K_M" of "org-model-Q4_K_M.gguf".
std::string names_of(const std::vector<const HubFile*>& models) {
    std::set<std::string> names;
    for (const HubFile* file : models) {
        std::string prefix = split_of(file->path).prefix;
        if (prefix.ends_with(".gguf")) prefix.resize(prefix.size() - 5);
        const std::size_t cut = prefix.find_last_of("-./");
        names.insert(shown(cut == std::string::npos ? prefix : prefix.substr(cut + 1)));
        if (names.size() == kNamedMax) break;
    }
    std::string list;
    for (const std::string& name : names) list += (list.empty() ? "" : ", ") + name;
    return list;
}

// Of several the one with the shortest path, so that variants of a model come last.
const HubFile* find_model(const std::vector<const HubFile*>& models, std::string_view wanted) {
    const HubFile* best = nullptr;
    for (const HubFile* file : models) {
        if (!names_quantisation(file->path, wanted)) continue;
        if (best == nullptr || file->path.size() < best->path.size()) best = file;
    }
    return best;
}

Result<std::vector<HubFile>> parts_of(const HubFile& chosen, const std::vector<HubFile>& files) {
    const Split split = split_of(chosen.path);
    if (split.count == 1) return std::vector{chosen};
    if (split.count > kSplitPartsMax) {
        return failed(Failure::BadRegistry,
                      format("{} is split into {} files; at most {} are read", shown(split.prefix),
                             split.count, kSplitPartsMax));
    }
    std::vector<HubFile> parts(split.count);
    for (const HubFile& file : files) {
        const Split other = split_of(file.path);
        if (other.prefix != split.prefix || other.count != split.count) continue;
        parts[other.number - 1] = file;
    }
    for (const HubFile& part : parts) {
        if (!part.path.empty()) continue;
        return failed(Failure::BadRegistry,
                      format("the repository lacks a part of {}", shown(split.prefix)));
    }
    return parts;
}

// Half precision serves every engine; else what there is.
std::optional<HubFile> find_projector(const std::vector<HubFile>& files) {
    const HubFile* best = nullptr;
    for (const HubFile& file : files) {
        if (!is_gguf(file) || !is_projector(file)) continue;
        const bool better = names_quantisation(file.path, "f16") &&
                            (best == nullptr || !names_quantisation(best->path, "f16"));
        if (best == nullptr || better) best = &file;
    }
    if (best == nullptr) return std::nullopt;
    return *best;
}

Result<void> check_files(const HubChoice& choice) {
    const auto check = [](const HubFile& file) -> Result<void> {
        if (file.digest && file.size <= kBlobBytesMax) return {};
        return failed(Failure::BadRegistry,
                      format("the hub gives no SHA-256 of {}", shown(file.path)));
    };
    for (const HubFile& file : choice.parts) TRY_VOID(check(file));
    return choice.projector ? check(*choice.projector) : Result<void>();
}

std::string repository_of(const models::ModelName& name) { return name.owner + "/" + name.name; }

Result<std::vector<HubFile>> list_files(Access& access, const models::ModelName& name) {
    std::vector<HubFile> files;
    std::string url =
        access.server().text + "/api/models/" + repository_of(name) + "/tree/main?recursive=1";
    for (std::size_t page = 0; page < kPagesMax && files.size() < kFilesMax; ++page) {
        TRY(const Document document, access.get(url, "application/json", kPageBytesMax));
        if (document.head.status != 200) return access.refused(document);
        TRY(std::vector<HubFile> more, parse_tree(document.text));
        std::ranges::move(more, std::back_inserter(files));
        const auto next = next_page(document.head.link);
        if (!next) return files;
        const auto parsed = Url::parse(*next);
        if (!parsed || parsed->origin() != access.server().origin()) {
            return failed(Failure::BadRegistry, "the hub continues its list of files elsewhere");
        }
        url = *next;
    }
    return files;
}

models::Layer layer_of(const HubFile& file, std::string_view media_type) {
    return {.media_type = std::string(media_type), .digest = *file.digest, .size = file.size};
}

json::object config_of(const models::GgufHeader& header) {
    const auto file_type = header.number("general.file_type");
    const std::string family(header.text("general.architecture"));
    return {{"model_format", "gguf"},
            {"model_family", family},
            {"model_families", json::array{family}},
            {"model_type", header.text("general.size_label")},
            {"file_type", file_type ? models::gguf_file_type(*file_type) : ""},
            {"architecture", "amd64"},
            {"os", "linux"},
            {"rootfs", {{"type", "layers"}, {"diff_ids", json::array{}}}}};
}

}  // namespace

Result<std::vector<HubFile>> parse_tree(std::string_view document) {
    TRY(const json::value root, parse_json_text(document, "the hub's list of files"));
    if (!root.is_array()) return failed(Failure::BadRegistry, "the hub's list of files is no list");
    std::vector<HubFile> files;
    for (const json::value& value : root.get_array()) {
        if (files.size() == kFilesMax) break;
        if (auto file = file_of(value)) files.push_back(*std::move(file));
    }
    return files;
}

std::optional<std::string> next_page(std::string_view link) {
    while (!link.empty()) {
        const std::size_t open = link.find('<');
        const std::size_t close = link.find('>', open);
        if (open == std::string_view::npos || close == std::string_view::npos) return std::nullopt;
        const std::string_view url = link.substr(open + 1, close - open - 1);
        link.remove_prefix(close + 1);
        const std::string_view parameters = link.substr(0, link.find('<'));
        if (parameters.contains("rel=\"next\"") || parameters.contains("rel=next")) {
            return std::string(url);
        }
    }
    return std::nullopt;
}

Result<HubChoice> choose_files(const std::vector<HubFile>& files, std::string_view tag) {
    std::vector<const HubFile*> models;
    for (const HubFile& file : files) {
        if (is_model(file)) models.push_back(&file);
    }
    if (models.empty()) {
        return failed(Failure::NotFound,
                      "the repository holds no GGUF file; choose one whose name ends in GGUF");
    }
    const std::string wanted = models::lower_case(tag);
    const bool any = wanted == models::kDefaultTag;
    const HubFile* chosen = find_model(models, any ? kPreferred : wanted);
    if (chosen == nullptr && any) chosen = models.front();
    if (chosen == nullptr) {
        return failed(Failure::NotFound,
                      format("the repository has no quantisation {}; there are {}", shown(tag),
                             names_of(models)));
    }
    HubChoice choice;
    TRY(choice.parts, parts_of(*chosen, files));
    choice.projector = find_projector(files);
    TRY_VOID(check_files(choice));
    return choice;
}

Result<Plan> plan_from_hub(Access& access, const models::ModelName& name) {
    TRY(const std::vector<HubFile> files, list_files(access, name));
    TRY(const HubChoice choice, choose_files(files, name.tag));
    Plan plan;
    const std::string base = access.server().text + "/" + repository_of(name) + "/resolve/main/";
    const auto add = [&](const HubFile& file, std::string_view media_type) {
        plan.blobs.push_back(
            {.layer = layer_of(file, media_type), .url = base + encode_path(file.path)});
    };
    for (const HubFile& file : choice.parts) add(file, models::kModelLayer);
    if (choice.projector) add(*choice.projector, models::kProjectorLayer);
    return plan;
}

Result<std::string> compose_manifest(const models::Store& store, const Plan& plan) {
    CHECK(!plan.blobs.empty());
    const auto header = models::read_gguf_header(store.blob_path(plan.blobs.front().layer.digest));
    if (!header) {
        return failed(Failure::BadRegistry,
                      format("what the hub gave is no model: {}", header.error().message));
    }
    models::Manifest manifest;
    TRY(manifest.config,
        store.put_bytes(json::serialize(config_of(*header)), models::kConfigMediaType));
    for (const Wanted& blob : plan.blobs) manifest.layers.push_back(blob.layer);
    return models::encode_manifest(manifest);
}

}  // namespace hearth::fetch
