#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "backends/remote/triton_models.h"
#include "backends/remote/upstream.h"
#include "base/error.h"
#include "server/config.h"

namespace hearth::server {

// A server elsewhere as it is to be called.
struct UpstreamPlan {
    remote::UpstreamOptions options;
    double weight = 1;
    std::chrono::milliseconds refresh_time{30'000};
    // Names of ours with its own; empty: all that it lists, under its names.
    std::vector<std::pair<std::string, std::string>> names;
    // Nobody configured it: it was found, and serves only what nobody else does.
    bool found = false;
    remote::Openai openai = remote::Openai::Compatible;  // of that kind
    std::optional<remote::TritonOptions> triton;         // of that kind, with its tokenizers read
};

// Of every backend of the configuration, with keys and tokenizers read from environment and files,
// and of an Ollama on its usual port unless one of them, or this server itself, is there. Errors:
// InvalidArgument, naming the backend and what is missing.
Result<std::vector<UpstreamPlan>> plan_upstreams(const Config& config);

}  // namespace hearth::server
