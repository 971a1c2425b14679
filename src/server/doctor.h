#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "server/config.h"

namespace hearth::server {

// One line of `hearth doctor`.
struct Finding {
    enum class Grade : std::uint8_t { Good, Note, Broken };
    Grade grade = Grade::Good;
    std::string subject;
    std::string text;
};

std::string_view to_string(Finding::Grade grade);

// Looks at the processor, the programs, the models and the addresses a server with `config` would
// use, and asks the servers elsewhere for their models. Starts nothing, changes nothing.
std::vector<Finding> examine(const Config& config);

// [{"grade":"good","subject":...,"text":...}]
std::string to_json(const std::vector<Finding>& findings);

}  // namespace hearth::server
