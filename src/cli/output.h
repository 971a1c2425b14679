#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "base/error.h"

namespace hearth::cli {

// Prints the error, if any, as "hearth: message" on stderr and returns the exit code. The message
// may be the server's: what a terminal would obey is left out.
int report(const Result<void>& result);

// The same for a command that SIGINT ends: after Cancelled it ends the program as that does.
int report_or_interrupt(const Result<void>& result);

// Rows, columns aligned; without what a terminal would obey.
void print_table(std::vector<std::vector<std::string>> rows);

// Standard input to its end. Error: TooLarge over 32 MiB.
Result<std::string> read_standard_input();

// A file of a user to its end. Errors: NotFound; TooLarge over 32 MiB.
Result<std::string> read_whole_file(const std::filesystem::path& file);

// "12.3 MB", in powers of 1000 as Ollama prints them.
std::string print_bytes(std::uint64_t bytes);

}  // namespace hearth::cli
