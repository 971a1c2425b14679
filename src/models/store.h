#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/hash.h"
#include "base/unique_fd.h"
#include "models/manifest.h"
#include "models/model_name.h"
#include "models/watched.h"

namespace hearth::models {

class TemporaryFile;

// A store of models in Ollama's layout: manifests/HOST/NAMESPACE/NAME/TAG are JSON files that name
// blobs/sha256-HEX. Nothing is created before the first write.
//
// Thread-safe, and safe for several processes at once: all state is on disk. Changes of manifests
// are made one after the other under a lock file, waited for at most 10 seconds. Whoever collects
// the blobs of a model holds a Lease meanwhile, so that nobody removes a blob it has already seen.
//
// Crash-safe: a blob or manifest is written to a temporary file, synchronised and renamed, so a
// reader finds the old one, the new one or none, never a part. What a crash leaves behind are
// temporary files, partial blobs and blobs without a manifest; prune() removes them.
//
// Errors of every change: Unavailable when the disk is full (reason "disk_full"), when another
// program keeps the lock, and when the system refuses (the sentence names file and reason).
class Store {
  public:
    explicit Store(std::filesystem::path root) : root_(std::move(root)) {}
    const std::filesystem::path& root() const { return root_; }

    // As long as one exists, in any process, no blob is removed.
    class Lease {
      public:
        Lease(Lease&&) = default;
        Lease& operator=(Lease&&) = default;

      private:
        friend class Store;
        explicit Lease(UniqueFd lock) : lock_(std::move(lock)) {}
        UniqueFd lock_;
    };
    Result<Lease> lease() const;

    // Manifests. Names are found without regard to case.

    struct Listing {
        std::vector<ModelName> names;                // sorted by path
        std::vector<std::filesystem::path> refused;  // files whose path is no name; relative
        std::vector<Watched> folders;                // a change of one means another listing
        // False: more than 4,096 entries, or a folder that may not be read or is a symbolic link
        // (those are not entered).
        bool complete = true;
    };
    // Every manifest there is.
    Listing listing() const;
    std::vector<ModelName> list() const { return listing().names; }
    // Errors: NotFound (reason "model_not_found"), InvalidArgument.
    Result<Manifest> read_manifest(const ModelName& name) const;
    // The file's own bytes, whose SHA-256 is what Ollama shows as the model's digest. As above.
    Result<std::string> read_manifest_text(const ModelName& name) const;
    // Writes `text` byte for byte, over an older manifest of that name. Every blob must be there.
    // Errors: InvalidArgument (no manifest, or a blob is missing).
    Result<void> write_manifest(const ModelName& name, std::string_view text) const;
    // Errors: those of read_manifest.
    Result<void> copy(const ModelName& from, const ModelName& to) const;
    // Removes the manifest, and those of its blobs that no other manifest names. The blobs stay for
    // prune() when somebody holds a lease or a manifest of the store cannot be read. Errors:
    // NotFound (reason "model_not_found").
    Result<void> remove(const ModelName& name) const;

    // Blobs.

    std::filesystem::path blob_path(const Digest& digest) const;
    // The file to load of a model with these weights: the blob, or of several, which are the parts
    // of a split model, a link to the first in splits/HEX, where links bear the names by which
    // llama.cpp finds the others. write_manifest() makes them.
    std::filesystem::path weights_path(std::span<const Digest> weights) const;
    bool has_blob(const Digest& digest) const;
    // Its length; nullopt when it is not there.
    std::optional<std::uint64_t> blob_bytes(const Digest& digest) const;

    // Where a download that can be resumed puts its bytes until put_blob().
    std::filesystem::path partial_path(const Digest& digest) const;
    // Opens that file for reading and writing, creates it when it is not there, and keeps others
    // from opening it until the descriptor is closed. Ask has_blob() again afterwards: another may
    // just have finished it. Errors: Unavailable (reason "blob_busy": another thread or program
    // fetches the same blob).
    Result<UniqueFd> open_partial(const Digest& digest) const;
    // Reads all of partial_path(), checks the digest, and makes it the blob. `file` is what
    // open_partial() gave. Errors: InvalidArgument (reason "digest_mismatch"; the partial file is
    // removed).
    Result<void> put_partial(const Digest& digest, const UniqueFd& file) const;
    // Copies a file of anybody's into the store. Errors: NotFound, InvalidArgument (reason
    // "digest_mismatch" where `expected` is given and is not its digest).
    Result<Layer> put_file(const std::filesystem::path& file, std::string_view media_type,
                           const std::optional<Digest>& expected = {}) const;
    // Bytes in memory become a blob: config, template, system prompt.
    Result<Layer> put_bytes(std::string_view bytes, std::string_view media_type) const;

    // A blob that arrives in pieces. One thread at a time. Destroyed before finish() it leaves
    // nothing behind.
    class Writer {
      public:
        Writer(Writer&&) noexcept;
        Writer& operator=(Writer&&) = delete;
        ~Writer();

        Result<void> write(std::span<const std::byte> bytes);
        std::uint64_t bytes_written() const { return bytes_; }
        // Once. Errors: InvalidArgument (reason "digest_mismatch").
        Result<Digest> finish(const std::optional<Digest>& expected = {});

      private:
        friend class Store;
        Writer(const Store& store, std::unique_ptr<TemporaryFile> file);

        const Store* store_;  // outlives the writer
        std::unique_ptr<TemporaryFile> file_;
        Sha256 hash_;
        std::uint64_t bytes_ = 0;
    };
    Result<Writer> begin_blob() const;

    // Bytes the disk has left for this user.
    Result<std::uint64_t> bytes_free() const;

    // Removes blobs that no manifest names, partial and temporary files, each when unchanged for
    // `unused_for`; returns how many. Does nothing while somebody holds a lease or a manifest
    // cannot be read.
    Result<std::size_t> prune(std::chrono::seconds unused_for) const;

  private:
    std::filesystem::path manifests() const { return root_ / "manifests"; }
    std::filesystem::path blobs() const { return root_ / "blobs"; }
    // The lock file of changes; makes the store's folders first.
    Result<UniqueFd> lock_changes() const;
    // The lock that keeps leases away; nullopt while somebody has one.
    Result<std::optional<UniqueFd>> lock_out_leases() const;
    // The file of that name, whatever case it is written in.
    std::optional<std::filesystem::path> find_manifest(const ModelName& name) const;
    // The blobs that manifests name. Errors: as read_manifest, and Unavailable when the listing is
    // not complete.
    Result<std::set<Digest>> named_blobs() const;
    Result<void> write_locked(const ModelName& name, std::string_view text) const;
    Result<void> link_parts(std::span<const Digest> parts) const;
    // Removes the links of models whose blobs are gone.
    void remove_broken_links() const;
    Result<std::size_t> remove_stale(const std::set<Digest>& named,
                                     std::chrono::seconds unused_for) const;

    std::filesystem::path root_;
};

// A folder with manifests/ and blobs/ in it.
bool is_store(const std::filesystem::path& folder);

}  // namespace hearth::models
