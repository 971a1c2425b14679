#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "backends/worker/protocol.h"
#include "base/error.h"

namespace hearth::worker {

// How a program that runs one model is spoken to by its supervisor: what tells it where its model
// and its socket are, and how it is asked how it is. Every program answers GET /health with 200
// once it is ready.
struct WorkerKind {
    std::vector<std::string> (*arguments)(const std::filesystem::path& model,
                                          const std::filesystem::path& socket);
    // Answered by what does the work, so that an answer shows that it is alive.
    std::string_view heartbeat_target;
    Result<Heartbeat> (*read_heartbeat)(std::string_view body);
    // The exit code, before it was ready, that says that the model is at fault.
    int refused_exit;
    // Whether a line of its output says why it ends, better than a later one.
    bool (*explains)(std::string_view line);
};

extern const WorkerKind kHearthWorker;  // hearth-worker
extern const WorkerKind kLlamaServer;   // llama.cpp's llama-server, started with --metrics

}  // namespace hearth::worker
