#pragma once

#include <chrono>
#include <filesystem>
#include <string>

#include "base/error.h"
#include "fetch/client.h"
#include "fetch/progress.h"
#include "fetch/ranges.h"

namespace hearth::fetch {

inline constexpr std::string_view kHubEndpoint = "https://huggingface.co";

struct PullOptions {
    std::filesystem::path store;
    std::string model;
    PartSizes parts;
    // Its stopped() is asked together with whether anybody reads the progress.
    ClientOptions client;
    std::string hub_endpoint{kHubEndpoint};  // HF_ENDPOINT
    std::string hub_token;                   // HF_TOKEN; empty: anonymous
    std::chrono::seconds busy_time{600};     // for another download of a blob that does not get on
};

// Brings a model into the store: its manifest first, each blob it misses, one after the other, and
// at the end the manifest's file, so that a model is there whole or not at all. Several pulls of
// the same model or of models that share blobs may run at once: each blob is fetched by one of
// them, the others wait for it and show its progress.
// Errors: every Failure.
Result<void> pull(const PullOptions& options, Progress& progress);

}  // namespace hearth::fetch
