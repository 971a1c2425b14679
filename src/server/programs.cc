#include "server/programs.h"

namespace hearth::server {

std::filesystem::path program_beside(std::string_view name) {
    std::error_code failed;
    const auto self = std::filesystem::read_symlink("/proc/self/exe", failed);
    return (failed ? std::filesystem::current_path() : self.parent_path()) / name;
}

}  // namespace hearth::server
