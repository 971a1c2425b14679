#pragma once

#include <cstddef>

#include "http/server.h"

namespace hearth::bench {

// Serves at `address` (HOST:PORT, port 0 for a free one) on `shards` event loops, 0 for one per
// core, until SIGTERM; prints "ready http://ADDRESS" once it listens. Returns the exit status: 1,
// with the reason on stderr, where it cannot listen.
int serve_until_told(const char* program, const char* address, std::size_t shards,
                     http::Handler answer);

}  // namespace hearth::bench
