#pragma once

#include <filesystem>

namespace hearth::server {

// hearth-worker beside the running program.
std::filesystem::path worker_program();

}  // namespace hearth::server
