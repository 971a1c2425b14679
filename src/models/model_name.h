#pragma once

#include <cstddef>
#include <filesystem>
#include <string>
#include <string_view>

#include "base/error.h"

namespace hearth::models {

inline constexpr std::string_view kDefaultHost = "registry.ollama.ai";
inline constexpr std::string_view kDefaultOwner = "library";
inline constexpr std::string_view kDefaultTag = "latest";
inline constexpr std::string_view kHubHost = "hf.co";  // huggingface.co is the same hub

// The name of a model in a registry or store: [HOST/][NAMESPACE/]NAME[:TAG], each part complete.
// A value. As long as it came from parse(), its parts are safe as names of files: letters, digits
// and "-_.", at most 80 bytes each (a host 250, with a port if it has one), a letter, digit or "_"
// first, no "..".
// Source: ollama/ollama types/model/name.go. Wider than that in one point: below another host than
// Ollama's a namespace may hold dots.
struct ModelName {
    std::string host{kDefaultHost};
    std::string owner{kDefaultOwner};  // the namespace; an organisation of the Hugging Face hub
    std::string name;
    std::string tag{kDefaultTag};
    bool plain_http = false;  // "http://" stood in front: no TLS. No part of the name's identity.

    // Fills what is left out with registry.ollama.ai, library and latest. "http://" and "https://"
    // may stand before a host. Errors: InvalidArgument with one sentence.
    static Result<ModelName> parse(std::string_view text);
    // From HOST/NAMESPACE/NAME/TAG, the opposite of relative_path(). Errors as parse().
    static Result<ModelName> parse_path(const std::filesystem::path& relative);

    // Shortest form with its tag: "qwen2.5-coder:latest", "hf.co/org/repo:Q4_K_M".
    std::string display() const;
    // HOST/NAMESPACE/NAME/TAG: where a store keeps the manifest.
    std::filesystem::path relative_path() const;
    // Equal for names that mean the same model: without regard to case, and huggingface.co is
    // hf.co. For comparing only.
    std::string key() const;

    bool is_hub() const;
};

// The valid name part nearest to `text`, such as the name of a file; "model" where nothing is left
// of it. May be longer than parse() accepts.
std::string model_name_part(std::string_view text);

// ASCII only; names have no other letters.
std::string lower_case(std::string_view text);

}  // namespace hearth::models
