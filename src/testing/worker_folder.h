#pragma once

// For tests only: the folder that tells a scripted worker what to do.
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>
#include <vector>

namespace hearth::testing {

class WorkerFolder {
  public:
    WorkerFolder() {
        std::string name = std::filesystem::temp_directory_path() / "worker-XXXXXX";
        path_ = ::mkdtemp(name.data());
    }
    ~WorkerFolder() { std::filesystem::remove_all(path_); }
    WorkerFolder(const WorkerFolder&) = delete;
    WorkerFolder& operator=(const WorkerFolder&) = delete;

    const std::filesystem::path& path() const { return path_; }
    void put(std::string_view name, std::string_view text = "") const {
        std::ofstream(path_ / name) << text;
    }
    void remove(std::string_view name) const { std::filesystem::remove(path_ / name); }
    // The pids of the workers started so far.
    std::vector<int> starts() const {
        std::ifstream file(path_ / "starts");
        std::vector<int> pids;
        for (int pid = 0; file >> pid;) pids.push_back(pid);
        return pids;
    }

  private:
    std::filesystem::path path_;
};

}  // namespace hearth::testing
