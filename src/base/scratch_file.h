#pragma once

#include <filesystem>
#include <system_error>
#include <utility>

namespace hearth {

// A path whose file, if there is one, is removed with this object. An empty path is none.
class ScratchFile {
  public:
    explicit ScratchFile(std::filesystem::path path = {}) : path_(std::move(path)) {}
    ~ScratchFile() {
        std::error_code ignored;
        if (!path_.empty()) std::filesystem::remove(path_, ignored);
    }
    ScratchFile(ScratchFile&& other) noexcept : path_(std::exchange(other.path_, {})) {}
    ScratchFile& operator=(ScratchFile&& other) noexcept {
        std::swap(path_, other.path_);
        return *this;
    }

    const std::filesystem::path& path() const { return path_; }
    // The file stays.
    void keep() { path_.clear(); }

  private:
    std::filesystem::path path_;
};

}  // namespace hearth
