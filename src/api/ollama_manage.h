#pragma once

#include <string>
#include <string_view>

#include "base/error.h"

// The managing half of the Ollama dialect: /api/pull, /api/delete, /api/copy. Pure functions.
// Source: ollama/ollama docs/api.md and api/types.go, August 2026.
namespace hearth::api::ollama {

struct PullCall {
    std::string model;
    bool insecure = false;
    bool stream = true;
};
Result<PullCall> parse_pull(std::string_view body);

// The model of {"model": ...} ("name" from older clients).
Result<std::string> parse_delete(std::string_view body);

struct CopyCall {
    std::string source;
    std::string destination;
};
Result<CopyCall> parse_copy(std::string_view body);

// A line of progress as the downloader prints it: whether it is the last word, and the error it is,
// if it is one. A line that is no such object is an Internal error.
struct PullLine {
    bool success = false;
};
Result<PullLine> read_pull_line(std::string_view line);

}  // namespace hearth::api::ollama
