#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <vector>

#include "base/encoding.h"
#include "base/format.h"
#include "models/durable_file.h"
#include "models/gguf_name.h"
#include "models/store.h"

namespace hearth::models {
namespace fs = std::filesystem;
namespace {

constexpr std::size_t kBufferBytes = 1 << 20;
constexpr std::size_t kBlobsMax = 65'536;  // files that one prune looks at
constexpr int kOpenAttemptsMax = 100;
constexpr std::string_view kPartialSuffix = "-partial";
constexpr const char* kSplits = "splits";

Error mismatch(const Digest& expected, const Digest& found) {
    return {
        .code = Code::InvalidArgument,
        .message = format("digest mismatch: expected {}, got {}", expected.text(), found.text()),
        .reason = "digest_mismatch"};
}

// Calls `take` with each piece of the file from its beginning.
template <class Take>
Result<void> read_pieces(int file, std::string_view name, Take take) {
    std::vector<std::byte> buffer(kBufferBytes);
    off_t at = 0;
    for (;;) {
        const ssize_t got = ::pread(file, buffer.data(), buffer.size(), at);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return fail(system_error(format("{} cannot be read", name), errno));
        if (got == 0) return {};
        at += got;
        TRY_VOID(take(std::span<const std::byte>(buffer).first(static_cast<std::size_t>(got))));
    }
}

Result<Digest> digest_of(int file, std::string_view name) {
    Sha256 hash;
    TRY_VOID(read_pieces(file, name, [&](std::span<const std::byte> piece) -> Result<void> {
        hash.update(piece);
        return {};
    }));
    return Digest::from_hex(encode_hex(hash.finish()));
}

bool is_same_file(int file, const fs::path& path) {
    struct stat opened{};
    struct stat named{};
    return ::fstat(file, &opened) == 0 && ::stat(path.c_str(), &named) == 0 &&
           opened.st_dev == named.st_dev && opened.st_ino == named.st_ino;
}

// Whether a file of blobs/ may go; what is neither blob, partial nor temporary file is not ours.
bool is_unnamed(const std::string& file, const std::set<Digest>& named) {
    if (file.starts_with(kTemporaryPrefix)) return true;
    std::string_view rest = file;
    // The downloader's state of a partial blob stands beside it.
    for (const std::string_view state : {".new", ".json"}) {
        if (rest.ends_with(state)) rest.remove_suffix(state.size());
    }
    if (rest.ends_with(kPartialSuffix)) {
        rest.remove_suffix(kPartialSuffix.size());
        return Digest::parse(rest).has_value();
    }
    const auto digest = Digest::parse(file);
    return digest && !named.contains(*digest);
}

}  // namespace

fs::path Store::blob_path(const Digest& digest) const { return blobs() / digest.file_name(); }

fs::path Store::partial_path(const Digest& digest) const {
    return blobs() / (digest.file_name() + std::string(kPartialSuffix));
}

std::optional<std::uint64_t> Store::blob_bytes(const Digest& digest) const {
    std::error_code error;
    const fs::path path = blob_path(digest);
    if (!fs::is_regular_file(path, error)) return std::nullopt;
    const std::uintmax_t bytes = fs::file_size(path, error);
    if (error) return std::nullopt;
    return bytes;
}

bool Store::has_blob(const Digest& digest) const { return blob_bytes(digest).has_value(); }

Result<UniqueFd> Store::open_partial(const Digest& digest) const {
    TRY_VOID(make_folder(blobs()));
    const fs::path path = partial_path(digest);
    for (int attempt = 0; attempt < kOpenAttemptsMax; ++attempt) {
        auto file = lock_file(path, LockKind::Exclusive, std::chrono::milliseconds(0));
        if (!file && file.error().reason == "locked") {
            return fail(Error{.code = Code::Unavailable,
                              .message = format("{} is being fetched already", digest.text()),
                              .reason = "blob_busy"});
        }
        // Between our open and our lock the file may have become the blob: not ours to write.
        if (!file || is_same_file(file->value(), path)) return file;
    }
    return fail(Code::Unavailable, format("{} cannot be locked", path.string()));
}

fs::path Store::weights_path(std::span<const Digest> weights) const {
    CHECK(!weights.empty());
    if (weights.size() == 1) return blob_path(weights.front());
    std::string all;
    for (const Digest& part : weights) all += part.hex();
    return root_ / kSplits / Digest::of(all).hex() / gguf_part_name("model", 1, weights.size());
}

Result<void> Store::link_parts(std::span<const Digest> parts) const {
    if (parts.size() < 2) return {};
    const fs::path first = weights_path(parts);
    TRY_VOID(make_folder(first.parent_path()));
    const std::vector<fs::path> links = gguf_part_files(first);
    for (std::size_t i = 0; i < parts.size(); ++i) {
        const fs::path target = fs::path("../../blobs") / parts[i].file_name();
        if (::symlink(target.c_str(), links[i].c_str()) != 0 && errno != EEXIST) {
            return fail(system_error(format("{} cannot be made", links[i].string()), errno));
        }
    }
    return {};
}

void Store::remove_broken_links() const {
    std::vector<fs::path> broken;
    std::error_code error;
    for (fs::directory_iterator it(root_ / kSplits, error), end; !error && it != end;
         it.increment(error)) {
        std::error_code unreadable;
        for (const fs::path& link : fs::directory_iterator(it->path(), unreadable)) {
            if (fs::exists(link, unreadable)) continue;
            broken.push_back(it->path());
            break;
        }
    }
    for (const fs::path& folder : broken) fs::remove_all(folder, error);
}

Result<void> Store::put_partial(const Digest& digest, const UniqueFd& file) const {
    const fs::path partial = partial_path(digest);
    TRY(const Digest found, digest_of(file.value(), partial.string()));
    if (found != digest) {
        ::unlink(partial.c_str());
        return fail(mismatch(digest, found));
    }
    return rename_durably(file.value(), partial, blob_path(digest));
}

Result<Layer> Store::put_file(const fs::path& file, std::string_view media_type,
                              const std::optional<Digest>& expected) const {
    const UniqueFd source(::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    struct stat status{};
    if (!source || ::fstat(source.value(), &status) != 0 || !S_ISREG(status.st_mode)) {
        return fail(Code::NotFound, format("{} is no file that can be read", file.string()));
    }
    TRY(Writer writer, begin_blob());
    TRY_VOID(read_pieces(source.value(), file.string(),
                         [&](std::span<const std::byte> piece) { return writer.write(piece); }));
    const std::uint64_t bytes = writer.bytes_written();
    TRY(Digest digest, writer.finish(expected));
    return Layer{.media_type = std::string(media_type), .digest = std::move(digest), .size = bytes};
}

Result<Layer> Store::put_bytes(std::string_view bytes, std::string_view media_type) const {
    TRY(Writer writer, begin_blob());
    TRY_VOID(writer.write(std::as_bytes(std::span(bytes))));
    TRY(Digest digest, writer.finish());
    return Layer{
        .media_type = std::string(media_type), .digest = std::move(digest), .size = bytes.size()};
}

Result<Store::Writer> Store::begin_blob() const {
    TRY_VOID(make_folder(blobs()));
    TRY(TemporaryFile file, TemporaryFile::open(blobs()));
    return Writer(*this, std::make_unique<TemporaryFile>(std::move(file)));
}

Store::Writer::Writer(const Store& store, std::unique_ptr<TemporaryFile> file)
    : store_(&store), file_(std::move(file)) {}
Store::Writer::Writer(Writer&&) noexcept = default;
Store::Writer::~Writer() = default;

Result<void> Store::Writer::write(std::span<const std::byte> bytes) {
    TRY_VOID(file_->write(bytes));
    hash_.update(bytes);
    bytes_ += bytes.size();
    return {};
}

Result<Digest> Store::Writer::finish(const std::optional<Digest>& expected) {
    CHECK(file_ != nullptr);
    const std::unique_ptr<TemporaryFile> file = std::move(file_);
    TRY(Digest digest, Digest::from_hex(encode_hex(hash_.finish())));
    if (expected && *expected != digest) return fail(mismatch(*expected, digest));
    // One of another length is not what its name says: it is replaced.
    if (store_->blob_bytes(digest) != bytes_) TRY_VOID(file->rename_to(store_->blob_path(digest)));
    return digest;
}

Result<std::uint64_t> Store::bytes_free() const {
    fs::path folder = root_;
    std::error_code error;
    while (!fs::exists(folder, error) && folder.has_relative_path()) folder = folder.parent_path();
    struct statvfs status{};
    if (::statvfs(folder.empty() ? "." : folder.c_str(), &status) != 0) {
        return fail(system_error(format("{} cannot be examined", folder.string()), errno));
    }
    return std::uint64_t{status.f_bavail} * status.f_frsize;
}

Result<std::size_t> Store::remove_stale(const std::set<Digest>& named,
                                        std::chrono::seconds unused_for) const {
    const auto newest = fs::file_time_type::clock::now() - unused_for;
    std::size_t removed = 0;
    for (const fs::path& folder : {blobs(), manifests()}) {
        std::error_code error;
        std::size_t seen = 0;
        std::vector<fs::path> stale;
        for (fs::directory_iterator it(folder, error), end; !error && it != end && seen < kBlobsMax;
             it.increment(error), ++seen) {
            std::error_code gone;
            const bool old = it->last_write_time(gone) <= newest && !gone;
            if (old && is_unnamed(it->path().filename().string(), named)) {
                stale.push_back(it->path());
            }
        }
        for (const fs::path& file : stale) removed += ::unlink(file.c_str()) == 0 ? 1 : 0;
    }
    return removed;
}

}  // namespace hearth::models
