#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/unique_fd.h"
#include "fetch/ranges.h"
#include "models/store.h"

namespace hearth::fetch {

// A blob on its way: blobs/sha256-HEX-partial at its full length, with holes, and beside it
// sha256-HEX-partial.json, which says what is there. Belongs to one thread; whoever has it keeps
// others from the same blob.
//
// Neither a kill nor a power cut makes the state claim a byte that is not there. It is written in
// this order: bytes, fdatasync, new state to another file, fsync of that, rename over the old
// state, fsync of the folder. A download that begins anew removes the state and syncs the folder
// before the file grows; a state counts only beside a file of full length.
class PartialBlob {
  public:
    // Goes on where an earlier download stopped. Errors: busy, no_space, store.
    static Result<PartialBlob> open(const models::Store& store, const models::Layer& layer,
                                    const PartSizes& sizes);

    const std::vector<Part>& parts() const { return parts_; }
    std::uint64_t total() const { return layer_.size; }
    std::uint64_t done() const { return bytes_done(parts_); }

    // The next bytes of one part; never more than it misses. Errors: no_space, store.
    Result<void> write(std::size_t part, std::string_view bytes);
    // Forgets what is there: one part, from the beginning.
    Result<void> start_over();
    // Makes what is there survive. Errors: no_space, store.
    Result<void> save();
    // Checks the digest and makes it the blob; once, when every part is complete. Errors:
    // digest_mismatch (everything is deleted), store.
    Result<void> put();

    // Removes it: the blob is not needed any more.
    void discard();

    // What the state of somebody else's download says; nullopt when there is none.
    static std::optional<std::uint64_t> peek(const models::Store& store,
                                             const models::Layer& layer);
    // Bytes of the disk that the file takes already.
    static std::uint64_t allocated(const models::Store& store, const models::Layer& layer);

  private:
    PartialBlob(const models::Store& store, const models::Layer& layer, UniqueFd file);
    Result<void> load(const PartSizes& sizes);
    Result<void> begin(std::vector<Part> parts);
    Result<void> reserve();

    const models::Store* store_;  // outlives it
    models::Layer layer_;
    std::filesystem::path path_;
    std::filesystem::path state_path_;
    UniqueFd file_;  // locked
    std::vector<Part> parts_;
};

}  // namespace hearth::fetch
