#include "models/store.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/format.h"
#include "models/durable_file.h"
#include "models/json_file.h"

namespace hearth::models {
namespace fs = std::filesystem;
namespace {

constexpr std::size_t kManifestsMax = 4096;
constexpr int kLevels = 4;  // HOST/NAMESPACE/NAME/TAG
constexpr std::chrono::seconds kLockWait{10};

Error unknown(const ModelName& name) {
    return {.code = Code::NotFound,
            .message = format("model '{}' not found", name.display()),
            .reason = "model_not_found"};
}

// The visible files exactly four levels below manifests/, sorted.
class Walk {
  public:
    explicit Walk(const fs::path& manifests) {
        enter(manifests, {}, 1);
        std::ranges::sort(files);
    }

    std::vector<fs::path> files;   // relative to manifests/
    std::vector<Watched> folders;  // those entered
    bool complete = true;

  private:
    void enter(const fs::path& folder, const fs::path& relative, int level) {
        std::error_code error;
        folders.emplace_back(folder);
        for (fs::directory_iterator it(folder, error), end; !error && it != end;
             it.increment(error)) {
            if (++seen_ > kManifestsMax) {
                complete = false;
                return;
            }
            const fs::path name = it->path().filename();
            std::error_code ignored;
            if (name.string().starts_with('.')) continue;
            if (level == kLevels) {
                if (it->is_regular_file(ignored)) files.push_back(relative / name);
            } else if (it->symlink_status(ignored).type() == fs::file_type::directory) {
                enter(it->path(), relative / name, level + 1);
            } else if (it->is_directory(ignored)) {
                complete = false;
            }
        }
        // No manifests yet is complete; a folder that may not be read is not.
        complete &= !error || error == std::errc::no_such_file_or_directory;
    }

    std::size_t seen_ = 0;
};

// Up to manifests/ itself; the first that still holds something ends it.
void remove_empty_parents(fs::path folder) {
    for (int level = 1; level < kLevels; ++level) {
        if (::rmdir(folder.c_str()) != 0) return;
        folder = folder.parent_path();
    }
}

std::set<Digest> digests_of(const Manifest& manifest) {
    std::set<Digest> digests;
    for (const Layer& layer : manifest.layers) digests.insert(layer.digest);
    if (manifest.config) digests.insert(manifest.config->digest);
    return digests;
}

}  // namespace

bool is_store(const fs::path& folder) {
    std::error_code error;
    return fs::is_directory(folder / "manifests", error) &&
           fs::is_directory(folder / "blobs", error);
}

Result<Store::Lease> Store::lease() const {
    TRY_VOID(make_folder(root_));
    TRY(UniqueFd lock, lock_file(root_ / ".leases", LockKind::Shared, kLockWait));
    return Lease(std::move(lock));
}

Result<UniqueFd> Store::lock_changes() const {
    TRY_VOID(make_folder(manifests()));
    TRY_VOID(make_folder(blobs()));
    return lock_file(root_ / ".lock", LockKind::Exclusive, kLockWait);
}

Result<std::optional<UniqueFd>> Store::lock_out_leases() const {
    auto lock = lock_file(root_ / ".leases", LockKind::Exclusive, std::chrono::milliseconds(0));
    if (lock) return std::optional(*std::move(lock));
    if (lock.error().reason == "locked") return std::optional<UniqueFd>();
    return fail(std::move(lock).error());
}

Store::Listing Store::listing() const {
    Walk walk(manifests());
    Listing listing{
        .names = {}, .refused = {}, .folders = std::move(walk.folders), .complete = walk.complete};
    for (const fs::path& file : walk.files) {
        if (auto name = ModelName::parse_path(file)) {
            listing.names.push_back(*std::move(name));
        } else {
            listing.refused.push_back(file);
        }
    }
    return listing;
}

std::optional<fs::path> Store::find_manifest(const ModelName& name) const {
    fs::path exact = manifests() / name.relative_path();
    std::error_code error;
    if (fs::is_regular_file(exact, error)) return exact;
    const std::string key = name.key();
    for (const ModelName& other : list()) {
        if (other.key() == key) return manifests() / other.relative_path();
    }
    return std::nullopt;
}

Result<std::string> Store::read_manifest_text(const ModelName& name) const {
    const auto file = find_manifest(name);
    if (!file) return fail(unknown(name));
    auto text = read_file(*file, "its manifest", kManifestBytesMax);
    if (!text && text.error().code == Code::NotFound) return fail(unknown(name));
    return text;
}

Result<Manifest> Store::read_manifest(const ModelName& name) const {
    TRY(const std::string text, read_manifest_text(name));
    return parse_manifest(text);
}

Result<void> Store::write_manifest(const ModelName& name, std::string_view text) const {
    TRY(const UniqueFd lock, lock_changes());
    return write_locked(name, text);
}

Result<void> Store::write_locked(const ModelName& name, std::string_view text) const {
    TRY(const Manifest manifest, parse_manifest(text));
    for (const Digest& digest : digests_of(manifest)) {
        if (has_blob(digest)) continue;
        return fail(Code::InvalidArgument,
                    format("blob {} of {} is missing", digest.text(), name.display()));
    }
    TRY_VOID(link_parts(manifest.weights()));
    const fs::path to = find_manifest(name).value_or(manifests() / name.relative_path());
    TRY_VOID(make_folder(to.parent_path()));
    TRY(TemporaryFile file, TemporaryFile::open(manifests()));
    TRY_VOID(file.write(std::as_bytes(std::span(text))));
    return file.rename_to(to);
}

Result<void> Store::copy(const ModelName& from, const ModelName& to) const {
    if (!find_manifest(from)) return fail(unknown(from));
    TRY(const UniqueFd lock, lock_changes());
    TRY(const std::string text, read_manifest_text(from));
    return write_locked(to, text);
}

Result<std::set<Digest>> Store::named_blobs() const {
    const Walk walk(manifests());
    if (!walk.complete) {
        return fail(Code::Unavailable, format("{} cannot be listed", manifests().string()));
    }
    std::set<Digest> named;
    for (const fs::path& file : walk.files) {
        TRY(const std::string text,
            read_file(manifests() / file, file.string(), kManifestBytesMax));
        TRY(const Manifest manifest, parse_manifest(text));
        named.merge(digests_of(manifest));
    }
    return named;
}

Result<void> Store::remove(const ModelName& name) const {
    if (!find_manifest(name)) return fail(unknown(name));
    TRY(const UniqueFd lock, lock_changes());
    const auto file = find_manifest(name);
    if (!file) return fail(unknown(name));
    const auto manifest = read_manifest(name);  // a broken one is removed too
    if (::unlink(file->c_str()) != 0) {
        return fail(system_error(format("{} cannot be removed", file->string()), errno));
    }
    remove_empty_parents(file->parent_path());
    TRY(const std::optional<UniqueFd> alone, lock_out_leases());
    const auto named = named_blobs();
    if (!manifest || !alone || !named) return {};
    for (const Digest& digest : digests_of(*manifest)) {
        if (!named->contains(digest)) ::unlink(blob_path(digest).c_str());
    }
    remove_broken_links();
    return {};
}

Result<std::size_t> Store::prune(std::chrono::seconds unused_for) const {
    if (!is_store(root_)) return std::size_t{0};
    TRY(const UniqueFd lock, lock_changes());
    TRY(const std::optional<UniqueFd> alone, lock_out_leases());
    const auto named = named_blobs();
    if (!alone || !named) return std::size_t{0};
    TRY(const std::size_t removed, remove_stale(*named, unused_for));
    remove_broken_links();
    return removed;
}

}  // namespace hearth::models
