#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "backends/worker/eviction.h"
#include "base/error.h"
#include "runtime/awaitable.h"
#include "runtime/deadline.h"

namespace boost::asio {
class io_context;
}

namespace hearth::worker {

// What llama.cpp itself expects a model to take: its llama-fit-params loads the file without its
// weights and prints what it would allocate.
struct LlamaFit {
    std::filesystem::path program;  // llama-fit-params
    std::filesystem::path model;
    std::vector<std::string> flags;             // those of the load that change memory
    std::vector<std::string> environment = {};  // "NAME=value", beside ours
};

struct LlamaFitBytes {
    DeviceBytes devices;
    std::uint64_t context = 0;  // of these, what the context takes on all devices
};

// "DEVICE MODEL CONTEXT COMPUTE" in MiB, a line per device; "Host" becomes "host".
Result<LlamaFitBytes> read_fit(std::string_view output);

// Runs it. Errors: InvalidArgument (it refuses the model, with its reason), BadUpstream (no reason,
// or no estimate), NotFound (no such program), DeadlineExceeded.
Awaitable<Result<LlamaFitBytes>> run_llama_fit(boost::asio::io_context& io, LlamaFit fit,
                                               Deadline deadline);

}  // namespace hearth::worker
