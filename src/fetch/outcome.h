#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/error.h"

namespace hearth::fetch {

// Why a pull ended without success. An Error of this folder carries the word as its `reason`.
enum class Failure : std::uint8_t {
    Internal,        // "internal", exit code 1
    Invalid,         // "invalid", 2: the name or the command line
    NotFound,        // "not_found", 3
    Unauthorized,    // "unauthorized", 4
    NoSpace,         // "no_space", 5
    DigestMismatch,  // "digest_mismatch", 6: what came was not what was announced; it is deleted
    Unreachable,     // "unreachable", 7: no answer, or one that said "later", after every retry
    BadRegistry,     // "bad_registry", 8: the server answered nonsense
    Busy,            // "busy", 9: another program fetches the same and does not get on
    Store,           // "store", 10: the store's folder cannot be read or written
    Stopped,         // "stopped", 11: told to end, or nobody reads the progress; can be resumed
};

std::string_view word_of(Failure failure);
int exit_code_of(Failure failure);

std::unexpected<Error> failed(Failure failure, std::string message);

// Errors of other folders are taken for what they mean here.
Failure failure_of(const Error& error);

// Text of a server, for a message: one line of at most 200 bytes, well-formed UTF-8.
std::string shown(std::string_view text);

}  // namespace hearth::fetch
