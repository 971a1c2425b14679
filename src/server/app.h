#pragma once

#include <functional>
#include <string>

#include "base/error.h"
#include "server/config.h"

namespace hearth::server {

// Starts everything, calls `ready` once with the first address ("http://127.0.0.1:11435",
// "unix:PATH"), and returns after SIGTERM or SIGINT when requests in flight have ended or
// drain_time is over. SIGHUP looks for models anew and applies what `load` returns, all of it or
// nothing: servers elsewhere, routing, aliases, fallbacks and defaults; of other keys that have
// changed it logs that they wait for the next start. Call from main's thread before any other
// thread runs. Errors: InvalidArgument (bad address, a backend's key is missing), Unavailable
// (address in use, worker program missing), those of `load`.
Result<void> serve_until_signal(const std::function<Result<Config>()>& load,
                                const std::function<void(const std::string& address)>& ready);

}  // namespace hearth::server
