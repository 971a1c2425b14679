#pragma once

#include <chrono>
#include <cstddef>
#include <filesystem>
#include <span>
#include <string_view>
#include <utility>

#include "base/error.h"
#include "base/unique_fd.h"

// Writing files so that a crash leaves the old content or the new, and locking them against other
// programs. Only for the .cc files of this module.
namespace hearth::models {

// What the system said, as an error: Unavailable, with reason "disk_full" where it is that.
Error system_error(std::string_view what_failed, int number);

// A file of its own in `folder`, named ".new-...". The path is removed by the destructor unless it
// was renamed before.
class TemporaryFile {
  public:
    static Result<TemporaryFile> open(const std::filesystem::path& folder);
    TemporaryFile(TemporaryFile&& other) noexcept
        : file_(std::move(other.file_)), path_(std::exchange(other.path_, {})) {}
    TemporaryFile& operator=(TemporaryFile&&) = delete;
    ~TemporaryFile();

    Result<void> write(std::span<const std::byte> bytes);
    // Synchronises the content, then the new name; replaces what had it.
    Result<void> rename_to(const std::filesystem::path& to);

  private:
    TemporaryFile(UniqueFd file, std::filesystem::path path)
        : file_(std::move(file)), path_(std::move(path)) {}

    UniqueFd file_;
    std::filesystem::path path_;  // empty: renamed or moved from
};

inline constexpr std::string_view kTemporaryPrefix = ".new-";

// Synchronises `file`, whose path is `from`, renames it and synchronises the folder of `to`.
Result<void> rename_durably(int file, const std::filesystem::path& from,
                            const std::filesystem::path& to);

Result<void> make_folder(const std::filesystem::path& folder);

enum class LockKind : std::uint8_t { Shared, Exclusive };

// Opens or creates `file` and locks it until the descriptor is closed: flock(2), which also keeps
// threads of one process apart. Asks again until `wait_max` has passed. Errors: Unavailable (reason
// "locked" where somebody else has it).
Result<UniqueFd> lock_file(const std::filesystem::path& file, LockKind kind,
                           std::chrono::milliseconds wait_max);

}  // namespace hearth::models
