#pragma once

#include <filesystem>

#include "base/error.h"

namespace hearth::worker {

// A directory only we may enter (0700), for Unix sockets; removed with its content by the
// destructor. Its name carries our process id, so that the next process removes what a killed one
// left.
class SocketDir {
  public:
    // Below `parent`; empty: $XDG_RUNTIME_DIR, else the temporary directory. Errors: Unavailable.
    static Result<SocketDir> make(std::filesystem::path parent);

    SocketDir() = default;
    ~SocketDir();
    SocketDir(SocketDir&& other) noexcept;
    SocketDir& operator=(SocketDir&& other) noexcept;

    const std::filesystem::path& path() const { return path_; }
    explicit operator bool() const { return !path_.empty(); }

  private:
    std::filesystem::path path_;
};

}  // namespace hearth::worker
