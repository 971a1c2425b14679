#pragma once

#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

// The managing half of the Ollama dialect: /api/pull, /api/delete, /api/copy,
// /api/create. Pure functions.
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

// A model made of another, or of uploaded files. The texts are as the caller wrote them;
// `parameters` and `messages` are JSON.
struct CreateCall {
    std::string model;
    std::string from;                          // empty: of `files`
    std::map<std::string, std::string> files;  // name to "sha256:HEX"
    std::map<std::string, std::string> adapters;
    std::optional<std::string> ollama_template;
    std::optional<std::string> system;
    std::string parameters;
    std::optional<std::string> messages;
    std::vector<std::string> licenses;
    std::string quantise;  // "q4_K_M"; empty: as it is
    bool stream = true;
};
Result<CreateCall> parse_create(std::string_view body);

// {"status":...} without its end of line, and the same with how far it is.
std::string encode_status(std::string_view status);
std::string encode_status(std::string_view status, std::size_t completed, std::size_t total);

// A line of progress as the downloader prints it: whether it is the last word, and the error it is,
// if it is one. A line that is no such object is an Internal error.
struct PullLine {
    bool success = false;
};
Result<PullLine> read_pull_line(std::string_view line);

}  // namespace hearth::api::ollama
