#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "runtime/child_process.h"

// The end of a worker process in words.
namespace hearth::worker {

// Why a process must end, or has.
enum class End : std::uint8_t { Exited, Retired, NeverReady, Silent, Hung };
std::string_view to_string(End end);

// "killed by signal 9", "exited with code 1"
std::string describe(const runtime::ExitStatus& status);

// What to do about an end that looks like a lack of memory, to be put behind its reason; else
// nothing. The kernel kills without a word, others say in their last line what they could not get.
std::string_view advice_after(End end, const std::optional<runtime::ExitStatus>& status,
                              std::string_view last_line);

}  // namespace hearth::worker
