#pragma once

#include <filesystem>
#include <utility>

namespace hearth::models {

// A file or folder as it was at a moment; a folder's time changes with the names in it.
class Watched {
  public:
    explicit Watched(std::filesystem::path path) : path_(std::move(path)), time_(time_of(path_)) {}

    // Also when it came or went.
    bool has_changed() const { return time_of(path_) != time_; }

  private:
    static std::filesystem::file_time_type time_of(const std::filesystem::path& path) {
        std::error_code absent;
        const auto time = std::filesystem::last_write_time(path, absent);
        return absent ? std::filesystem::file_time_type::min() : time;
    }

    std::filesystem::path path_;
    std::filesystem::file_time_type time_;
};

}  // namespace hearth::models
