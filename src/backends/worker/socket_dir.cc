#include "backends/worker/socket_dir.h"

#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <string>
#include <utility>

#include "base/format.h"

namespace hearth::worker {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kPrefix = "hearth-";
constexpr std::size_t kPathBytesMax = 80;  // of sun_path's 108; a file name follows

fs::path default_parent() {
    const char* runtime = std::getenv("XDG_RUNTIME_DIR");
    if (runtime != nullptr && *runtime != '\0' && ::access(runtime, W_OK) == 0) return runtime;
    std::error_code error;
    const fs::path temporary = fs::temp_directory_path(error);
    return error || temporary.native().size() > kPathBytesMax / 2 ? fs::path("/tmp") : temporary;
}

// "hearth-PID-XXXXXX" of a process that is no more, and ours to remove.
bool is_stale(const fs::path& directory) {
    const std::string name = directory.filename();
    if (!name.starts_with(kPrefix)) return false;
    int pid = 0;
    const char* begin = name.data() + kPrefix.size();
    const auto [end, error] = std::from_chars(begin, name.data() + name.size(), pid);
    if (error != std::errc() || *end != '-' || pid <= 0) return false;
    struct stat status{};
    if (::lstat(directory.c_str(), &status) != 0) return false;
    if (!S_ISDIR(status.st_mode) || status.st_uid != ::geteuid()) return false;
    return ::kill(pid, 0) != 0 && errno == ESRCH;
}

void remove_stale(const fs::path& parent) {
    std::error_code error;
    for (fs::directory_iterator entry(parent, error), end; !error && entry != end;
         entry.increment(error)) {
        std::error_code ignored;
        if (is_stale(entry->path())) fs::remove_all(entry->path(), ignored);
    }
}

}  // namespace

Result<SocketDir> SocketDir::make(fs::path parent) {
    if (parent.empty()) parent = default_parent();
    remove_stale(parent);
    std::string name = parent / format("{}{}-XXXXXX", kPrefix, ::getpid());
    if (name.size() > kPathBytesMax) {
        return fail(Code::Unavailable, format("{} is too long a path for sockets", name));
    }
    if (::mkdtemp(name.data()) == nullptr) {
        return fail(Code::Unavailable, format("cannot make a directory in {}: {}", parent.native(),
                                              std::strerror(errno)));
    }
    SocketDir directory;
    directory.path_ = name;
    return directory;
}

SocketDir::~SocketDir() {
    std::error_code ignored;
    if (!path_.empty()) fs::remove_all(path_, ignored);
}

SocketDir::SocketDir(SocketDir&& other) noexcept : path_(std::exchange(other.path_, {})) {}

SocketDir& SocketDir::operator=(SocketDir&& other) noexcept {
    std::swap(path_, other.path_);
    return *this;
}

}  // namespace hearth::worker
