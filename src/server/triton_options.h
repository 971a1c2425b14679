#pragma once

#include <map>
#include <memory>
#include <string>

#include "backends/remote/triton_models.h"
#include "base/error.h"
#include "server/config.h"

namespace hearth::server {

// Tokenizers that have been read, by where they lie: many backends may use one.
using TokenSources = std::map<std::string, std::shared_ptr<const remote::TokenSource>>;

// What a backend of the kind triton is told of its models. Reads the tokenizers that `sources` does
// not have yet, on the calling thread. Errors: InvalidArgument, naming key and file.
Result<remote::TritonOptions> plan_triton(const BackendSection& section, TokenSources& sources);

}  // namespace hearth::server
