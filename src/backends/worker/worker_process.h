#pragma once

#include <string>

#include "backends/worker/worker_server.h"

namespace hearth::worker {

// What every worker program does around its engine: watches the life line on descriptor 3 (runtime/
// child_process.h) and ends at once at its end-of-file, serves until SIGTERM or SIGINT, lets calls
// inside finish.

// Call first thing in main, before any descriptor is opened or thread started.
void hold_life_line();
// Returns the exit code.
int serve_until_told(encoder::Engine& engine, const tokens::Tokenizer& tokenizer,
                     WorkerServerOptions options);
// Prints the reason as the last line of stderr and returns the exit code of a refused model.
int refuse_model(const Error& error);

}  // namespace hearth::worker
