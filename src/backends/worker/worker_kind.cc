#include "backends/worker/worker_kind.h"

#include <array>
#include <charconv>
#include <optional>

#include "base/format.h"

namespace hearth::worker {
namespace {

std::vector<std::string> hearth_arguments(const std::filesystem::path& model,
                                          const std::filesystem::path& socket) {
    return {"--model", model, "--socket", socket};
}

std::vector<std::string> llama_arguments(const std::filesystem::path& model,
                                         const std::filesystem::path& socket) {
    return {"--model", model, "--host", socket};
}

constexpr double kCallsMax = 1e9;

// The value of one sample line, "NAME VALUE", of the Prometheus text format.
std::optional<double> sample(std::string_view text, std::string_view name) {
    for (std::size_t at = text.find(name); at != std::string_view::npos;
         at = text.find(name, at + 1)) {
        const bool starts_line = at == 0 || text[at - 1] == '\n';
        const std::size_t end = at + name.size();
        if (!starts_line || end >= text.size() || text[end] != ' ') continue;
        double value = 0;
        const auto read = std::from_chars(text.data() + end + 1, text.data() + text.size(), value);
        if (read.ec == std::errc{} && value >= 0 && value <= kCallsMax) return value;
    }
    return std::nullopt;
}

// Its loop answers between two batches, so an answer also tells that calls given up before are out
// of it: what runs began just now, as far as anybody can be blamed.
Result<Heartbeat> read_llama_metrics(std::string_view body) {
    const auto processing = sample(body, "llamacpp:requests_processing");
    const auto deferred = sample(body, "llamacpp:requests_deferred");
    if (!processing || !deferred) {
        return fail(Code::BadUpstream, "llama-server's metrics say nothing about its requests");
    }
    Heartbeat heartbeat;
    heartbeat.calls = static_cast<std::uint64_t>(*processing + *deferred);
    if (*processing > 0) heartbeat.running = std::chrono::milliseconds(1);
    return heartbeat;
}

bool last_line_explains(std::string_view) { return false; }

// It goes on talking after it has said what is wrong: the first word counts.
bool llama_explains(std::string_view line) {
    constexpr std::array<std::string_view, 6> kWords = {
        "error loading model",  "unable to allocate", "error:",
        "error while handling", "out of memory",      "GGML_ASSERT"};
    for (const std::string_view word : kWords) {
        if (line.contains(word)) return true;
    }
    return false;
}

}  // namespace

const WorkerKind kHearthWorker = {.arguments = hearth_arguments,
                                  .heartbeat_target = "/health",
                                  .read_heartbeat = decode_heartbeat,
                                  .refused_exit = 2,
                                  .explains = last_line_explains};

const WorkerKind kLlamaServer = {.arguments = llama_arguments,
                                 .heartbeat_target = "/metrics",
                                 .read_heartbeat = read_llama_metrics,
                                 .refused_exit = 1,
                                 .explains = llama_explains};

}  // namespace hearth::worker
