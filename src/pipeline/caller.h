#pragma once

#include <string>

#include "cache/policy.h"
#include "inference/outcome.h"

namespace hearth::pipeline {

using inference::Outcome;

// Who calls, and what he wishes beside what the request itself says.
struct Caller {
    std::string tenant;  // answers are never shared between two; empty: the only one there is
    cache::Wish cache;
};

}  // namespace hearth::pipeline
