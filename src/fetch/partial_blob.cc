#include "fetch/partial_blob.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>
#include <utility>

#include "base/format.h"
#include "fetch/outcome.h"

namespace hearth::fetch {
namespace fs = std::filesystem;
namespace {

constexpr std::size_t kStateBytesMax = 1 << 20;
// Begun to be written to the disk while more arrives, so that save() has little left to wait for.
constexpr std::uint64_t kWritebackBytes = std::uint64_t{8} << 20;

std::unexpected<Error> system_failed(const fs::path& path, std::string_view what, int number) {
    switch (number) {
        case ENOSPC:
        case EDQUOT:
            return failed(Failure::NoSpace,
                          format("the disk is full; make room and pull again, {} is kept",
                                 path.filename().string()));
        case EFBIG:
            return failed(Failure::NoSpace,
                          format("{} would be larger than this system allows", path.string()));
        default: break;
    }
    return failed(Failure::Store,
                  format("{} cannot be {}: {}", path.string(), what, std::strerror(number)));
}

Result<void> sync_folder(const fs::path& folder) {
    const UniqueFd fd(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!fd || (::fsync(fd.value()) != 0 && errno != EINVAL)) {
        return system_failed(folder, "synchronised", errno);
    }
    return {};
}

Result<void> write_all(int fd, const fs::path& path, std::string_view bytes, std::uint64_t at) {
    while (!bytes.empty()) {
        const ssize_t put = ::pwrite(fd, bytes.data(), bytes.size(), static_cast<off_t>(at));
        if (put < 0 && errno == EINTR) continue;
        if (put <= 0) return system_failed(path, "written", put < 0 ? errno : ENOSPC);
        bytes.remove_prefix(static_cast<std::size_t>(put));
        at += static_cast<std::uint64_t>(put);
    }
    return {};
}

// Empty: absent, too long, or not to be read.
std::string read_state(const fs::path& path) {
    const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    struct stat status{};
    if (!fd || ::fstat(fd.value(), &status) != 0 || !S_ISREG(status.st_mode)) return {};
    if (status.st_size <= 0 || std::uint64_t(status.st_size) > kStateBytesMax) return {};
    std::string text(static_cast<std::size_t>(status.st_size), '\0');
    const ssize_t got = ::pread(fd.value(), text.data(), text.size(), 0);
    text.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
    return text;
}

fs::path state_path_of(const models::Store& store, const models::Digest& digest) {
    return store.partial_path(digest).string() + ".json";
}

Error as_busy(Error error) {
    if (failure_of(error) == Failure::Busy) error.reason = word_of(Failure::Busy);
    return error;
}

}  // namespace

Result<PartialBlob> PartialBlob::open(const models::Store& store, const models::Layer& layer,
                                      const PartSizes& sizes) {
    auto file = store.open_partial(layer.digest);
    if (!file) return fail(as_busy(std::move(file).error()));
    PartialBlob blob(store, layer, *std::move(file));
    TRY_VOID(blob.load(sizes));
    return blob;
}

PartialBlob::PartialBlob(const models::Store& store, const models::Layer& layer, UniqueFd file)
    : store_(&store),
      layer_(layer),
      path_(store.partial_path(layer.digest)),
      state_path_(state_path_of(store, layer.digest)),
      file_(std::move(file)) {}

Result<void> PartialBlob::load(const PartSizes& sizes) {
    struct stat status{};
    if (::fstat(file_.value(), &status) != 0) return system_failed(path_, "examined", errno);
    const bool full_length = std::uint64_t(status.st_size) == layer_.size;
    auto parts = parse_state(read_state(state_path_), layer_.digest, layer_.size);
    if (!full_length || !parts) return begin(plan_parts(layer_.size, sizes));
    parts_ = *std::move(parts);
    return {};
}

Result<void> PartialBlob::begin(std::vector<Part> parts) {
    if (::unlink(state_path_.c_str()) == 0) TRY_VOID(sync_folder(path_.parent_path()));
    if (::ftruncate(file_.value(), 0) != 0) return system_failed(path_, "emptied", errno);
    TRY_VOID(reserve());
    parts_ = std::move(parts);
    return {};
}

// The whole length at once: a disk that is too small says so before the first byte.
Result<void> PartialBlob::reserve() {
    if (layer_.size == 0) return {};
    const auto length = static_cast<off_t>(layer_.size);
    int result = 0;
    do {
        result = ::fallocate(file_.value(), 0, 0, length);
    } while (result != 0 && errno == EINTR);
    // Not every file system can; holes then.
    if (result != 0 && errno == EOPNOTSUPP) result = ::ftruncate(file_.value(), length);
    if (result == 0) return {};
    const int reason = errno;
    ::unlink(path_.c_str());
    return system_failed(path_, "enlarged", reason);
}

Result<void> PartialBlob::write(std::size_t part, std::string_view bytes) {
    Part& to = parts_[part];
    CHECK(bytes.size() <= to.size - to.done);
    TRY_VOID(write_all(file_.value(), path_, bytes, to.next()));
    const std::uint64_t before = to.done;
    to.done += bytes.size();
    if (before / kWritebackBytes != to.done / kWritebackBytes) {
        const std::uint64_t from = to.begin + before / kWritebackBytes * kWritebackBytes;
        ::sync_file_range(file_.value(), static_cast<off_t>(from),
                          static_cast<off_t>(to.next() - from), SYNC_FILE_RANGE_WRITE);
    }
    return {};
}

Result<void> PartialBlob::start_over() { return begin({{.begin = 0, .size = layer_.size}}); }

Result<void> PartialBlob::save() {
    if (::fdatasync(file_.value()) != 0) return system_failed(path_, "synchronised", errno);
    const fs::path fresh = state_path_.string() + ".new";
    const UniqueFd fd(::open(fresh.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
    if (!fd) return system_failed(fresh, "created", errno);
    TRY_VOID(write_all(fd.value(), fresh, encode_state(layer_.digest, parts_), 0));
    if (::fsync(fd.value()) != 0) return system_failed(fresh, "synchronised", errno);
    if (::rename(fresh.c_str(), state_path_.c_str()) != 0) {
        return system_failed(fresh, "renamed", errno);
    }
    return sync_folder(path_.parent_path());
}

Result<void> PartialBlob::put() {
    CHECK(done() == total());
    auto put = store_->put_partial(layer_.digest, file_);
    const bool mismatch = !put && put.error().reason == "digest_mismatch";
    if (put || mismatch) ::unlink(state_path_.c_str());
    if (mismatch) {
        return failed(Failure::DigestMismatch,
                      format("blob {} is not what was announced and is deleted; pull again, and if "
                             "that fails too the server holds a broken file",
                             layer_.digest.short_hex()));
    }
    return put;
}

void PartialBlob::discard() {
    ::unlink(state_path_.c_str());
    ::unlink(path_.c_str());
}

std::optional<std::uint64_t> PartialBlob::peek(const models::Store& store,
                                               const models::Layer& layer) {
    const std::string text = read_state(state_path_of(store, layer.digest));
    const auto parts = parse_state(text, layer.digest, layer.size);
    if (!parts) return std::nullopt;
    return bytes_done(*parts);
}

std::uint64_t PartialBlob::allocated(const models::Store& store, const models::Layer& layer) {
    struct stat status{};
    if (::stat(store.partial_path(layer.digest).c_str(), &status) != 0) return 0;
    constexpr std::uint64_t kBlockBytes = 512;  // whatever the file system's own is
    return static_cast<std::uint64_t>(status.st_blocks) * kBlockBytes;
}

}  // namespace hearth::fetch
