#include "server/worker_program.h"

namespace hearth::server {

std::filesystem::path worker_program() {
    std::error_code failed;
    const auto self = std::filesystem::read_symlink("/proc/self/exe", failed);
    return (failed ? std::filesystem::current_path() : self.parent_path()) / "hearth-worker";
}

}  // namespace hearth::server
