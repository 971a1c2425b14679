#pragma once

#include <filesystem>
#include <string_view>

namespace hearth::server {

// A program of ours ("hearth-worker"): beside the running one.
std::filesystem::path program_beside(std::string_view name);

}  // namespace hearth::server
