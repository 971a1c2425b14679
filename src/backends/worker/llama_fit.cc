#include "backends/worker/llama_fit.h"

#include <algorithm>
#include <boost/asio/io_context.hpp>
#include <memory>
#include <sstream>

#include "backends/worker/worker_kind.h"
#include "base/format.h"
#include "runtime/child_process.h"

namespace hearth::worker {
namespace {

constexpr std::size_t kLinesMax = 1000;

struct Output {
    std::string text;
    std::string reason;
    std::size_t lines = 0;

    void take(std::string_view line) {
        if (++lines > kLinesMax) return;
        text.append(line).push_back('\n');
        if (reason.empty() && kLlamaServer.explains(line)) reason = line;
    }
};

}  // namespace

Result<LlamaFitBytes> read_fit(std::string_view output) {
    LlamaFitBytes bytes;
    std::istringstream lines{std::string(output)};
    for (std::string line; std::getline(lines, line);) {
        std::istringstream words(line);
        std::string device;
        std::uint64_t model = 0;
        std::uint64_t context = 0;
        std::uint64_t compute = 0;
        std::string more;
        if (!(words >> device >> model >> context >> compute) || words >> more) continue;
        if (device == "Host") device = "host";
        constexpr std::uint64_t kMibMax = 1 << 24;  // 16 TiB
        if (std::max({model, context, compute}) > kMibMax) continue;
        bytes.devices[device] += (model + context + compute) * kMib;
        bytes.context += context * kMib;
    }
    if (bytes.devices.empty())
        return fail(Code::BadUpstream, "llama-fit-params printed no estimate");
    return bytes;
}

Awaitable<Result<LlamaFitBytes>> run_llama_fit(boost::asio::io_context& io, LlamaFit fit,
                                               Deadline deadline) {
    const auto output = std::make_shared<Output>();
    runtime::ChildOptions options{.program = fit.program,
                                  .arguments = {"--model", fit.model, "--fit-print", "on"},
                                  .environment = std::move(fit.environment)};
    // Its trace of an abort would take a debugger and seconds.
    options.environment.emplace_back("GGML_NO_BACKTRACE=1");
    options.arguments.insert(options.arguments.end(), fit.flags.begin(), fit.flags.end());
    options.on_line = [output](std::string_view line) { output->take(line); };
    CO_TRY(const auto child, runtime::ChildProcess::start(io, std::move(options)));
    CO_TRY(const runtime::ExitStatus status,
           co_await with_deadline(deadline, runtime::end_of(*child)));
    if (status.code == 0) co_return read_fit(output->text);
    if (!output->reason.empty()) co_return fail(Code::InvalidArgument, output->reason);
    co_return fail(Code::BadUpstream, "llama-fit-params failed and did not say why");
}

}  // namespace hearth::worker
