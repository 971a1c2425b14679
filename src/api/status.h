#pragma once

#include <chrono>
#include <optional>

#include "base/error.h"

namespace hearth::api {

// The HTTP status that the dialects without a table of their own give to an error.
int http_status(Code code);

// Retry-After in whole seconds, rounded up, at least 1; only on 429 and 503, where a caller should
// wait.
std::optional<std::chrono::seconds> retry_after(const Error& error, int status);

}  // namespace hearth::api
