#pragma once

#include <string>
#include <vector>

#include "base/error.h"

namespace hearth::cli {

// Prints the error, if any, as "hearth: message" on stderr and returns the exit code.
int report(const Result<void>& result);

// Rows under a header, columns aligned; the first row is the header.
void print_table(const std::vector<std::vector<std::string>>& rows);

// "12.3 MB", in powers of 1000 as Ollama prints them.
std::string print_bytes(std::uint64_t bytes);

}  // namespace hearth::cli
