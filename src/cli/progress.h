#pragma once

#include <chrono>
#include <cstddef>
#include <optional>
#include <string>

namespace hearth::cli {

// A progress bar on stderr; silent when stderr is no terminal. Redrawn at most ten times a second.
class Progress {
  public:
    enum class Unit { Things, Bytes };

    Progress(std::string label, std::size_t total, Unit unit = Unit::Things);
    ~Progress();  // clears the line
    Progress(const Progress&) = delete;
    Progress& operator=(const Progress&) = delete;
    void update(std::size_t done);

  private:
    std::string label_;
    std::size_t total_;
    Unit unit_;
    bool terminal_;
    std::optional<std::size_t> first_;  // done before the first update: not part of the rate
    std::chrono::steady_clock::time_point start_;
    std::chrono::steady_clock::time_point drawn_;
};

}  // namespace hearth::cli
