#include "models/durable_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <thread>

#include "base/format.h"

namespace hearth::models {
namespace fs = std::filesystem;
namespace {

constexpr int kNameAttemptsMax = 1000;
constexpr std::chrono::milliseconds kLockPoll{5};

// Makes a rename survive a power failure.
Result<void> sync_folder(const fs::path& folder) {
    const UniqueFd fd(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    // Some file systems refuse to synchronise folders; the rename itself has been made.
    if (fd && ::fsync(fd.value()) != 0 && errno != EINVAL && errno != EROFS) {
        return fail(system_error(format("{} cannot be synchronised", folder.string()), errno));
    }
    return {};
}

}  // namespace

Error system_error(std::string_view what_failed, int number) {
    const bool full = number == ENOSPC || number == EDQUOT;
    return {.code = Code::Unavailable,
            .message = full ? format("{}: the disk is full", what_failed)
                            : format("{}: {}", what_failed, std::strerror(number)),
            .reason = full ? "disk_full" : ""};
}

Result<TemporaryFile> TemporaryFile::open(const fs::path& folder) {
    static std::atomic<unsigned> counter{0};
    fs::path path;
    for (int attempt = 0; attempt < kNameAttemptsMax; ++attempt) {
        path = folder / format("{}{}-{}", kTemporaryPrefix, ::getpid(), counter++);
        UniqueFd file(::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644));
        if (file) return TemporaryFile(std::move(file), std::move(path));
        if (errno != EEXIST) break;
    }
    return fail(system_error(format("{} cannot be created", path.string()), errno));
}

TemporaryFile::~TemporaryFile() {
    if (!path_.empty()) ::unlink(path_.c_str());
}

Result<void> TemporaryFile::write(std::span<const std::byte> bytes) {
    while (!bytes.empty()) {
        const ssize_t put = ::write(file_.value(), bytes.data(), bytes.size());
        if (put < 0 && errno == EINTR) continue;
        if (put < 0) {
            return fail(system_error(format("{} cannot be written", path_.string()), errno));
        }
        bytes = bytes.subspan(static_cast<std::size_t>(put));
    }
    return {};
}

Result<void> TemporaryFile::rename_to(const fs::path& to) {
    TRY_VOID(rename_durably(file_.value(), path_, to));
    path_.clear();
    file_.reset();
    return {};
}

Result<void> rename_durably(int file, const fs::path& from, const fs::path& to) {
    if (::fsync(file) != 0) {
        return fail(system_error(format("{} cannot be written", from.string()), errno));
    }
    if (::rename(from.c_str(), to.c_str()) != 0) {
        return fail(system_error(format("{} cannot be renamed", from.string()), errno));
    }
    return sync_folder(to.parent_path());
}

Result<void> make_folder(const fs::path& folder) {
    std::error_code error;
    fs::create_directories(folder, error);
    if (error) {
        return fail(system_error(format("{} cannot be created", folder.string()), error.value()));
    }
    return {};
}

Result<UniqueFd> lock_file(const fs::path& file, LockKind kind,
                           std::chrono::milliseconds wait_max) {
    UniqueFd fd(::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644));
    if (!fd) return fail(system_error(format("{} cannot be opened", file.string()), errno));
    const int operation = kind == LockKind::Shared ? LOCK_SH : LOCK_EX;
    const auto end = std::chrono::steady_clock::now() + wait_max;
    while (::flock(fd.value(), operation | LOCK_NB) != 0) {
        if (errno != EWOULDBLOCK && errno != EINTR) {
            return fail(system_error(format("{} cannot be locked", file.string()), errno));
        }
        if (std::chrono::steady_clock::now() >= end) {
            return fail(Error{.code = Code::Unavailable,
                              .message = format("{} is locked by another program", file.string()),
                              .reason = "locked"});
        }
        std::this_thread::sleep_for(kLockPoll);
    }
    return fd;
}

}  // namespace hearth::models
