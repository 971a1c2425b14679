#pragma once

#include <chrono>
#include <optional>
#include <string>

namespace hearth::api {

// What a dialect answers: everything the caller sees except the transport's own headers.
struct Reply {
    int status = 200;
    std::string content_type = "application/json";
    std::string body = {};
    std::optional<std::chrono::seconds> retry_after = {};  // Retry-After, at least one second
};

}  // namespace hearth::api
