#include "backends/worker/llama_quantize.h"

#include <algorithm>
#include <array>
#include <boost/asio/io_context.hpp>
#include <cctype>
#include <charconv>
#include <memory>
#include <utility>
#include <vector>

#include "base/encoding.h"
#include "base/format.h"
#include "base/scratch_file.h"
#include "runtime/child_process.h"

namespace hearth::worker {
namespace {

constexpr std::array<std::string_view, 24> kTypes = {
    "Q2_K",   "Q3_K_S", "Q3_K_M", "Q3_K_L", "Q4_0",   "Q4_1",      "Q4_K_S", "Q4_K_M",
    "Q5_0",   "Q5_1",   "Q5_K_S", "Q5_K_M", "Q6_K",   "Q8_0",      "IQ2_XS", "IQ3_XXS",
    "IQ3_XS", "IQ3_S",  "IQ3_M",  "IQ4_NL", "IQ4_XS", "MXFP4_MOE", "BF16",   "F16"};
constexpr std::size_t kLineKeptMax = 500;

bool is_same(std::string_view a, std::string_view b) {
    return std::ranges::equal(
        a, b, [](unsigned char x, unsigned char y) { return std::toupper(x) == std::toupper(y); });
}

std::optional<double> number_in(std::string_view text) {
    double number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc{} || end == text.data()) return std::nullopt;
    return number;
}

std::optional<std::size_t> take_count(std::string_view& text) {
    text = trimmed(text);
    std::size_t count = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), count);
    if (error != std::errc{}) return std::nullopt;
    text.remove_prefix(static_cast<std::size_t>(end - text.data()));
    return count;
}

// The last thing a program said that sounds like why it failed.
struct Reason {
    std::string text;

    void take(std::string_view line) {
        constexpr std::array<std::string_view, 5> kWords = {"error", "failed", "cannot", "need",
                                                            "invalid"};
        const bool explains =
            std::ranges::any_of(kWords, [&](std::string_view word) { return line.contains(word); });
        if (explains && text.empty()) text = trimmed(line.substr(0, kLineKeptMax));
    }
};

Error failure(std::string_view program, const runtime::ExitStatus& status, const Reason& reason) {
    if (!reason.text.empty()) return {.code = Code::InvalidArgument, .message = reason.text};
    return {.code = Code::BadUpstream,
            .message = format("{} ended with {} {} and did not say why", program,
                              status.signal != 0 ? "signal" : "code",
                              status.signal != 0 ? status.signal : status.code)};
}

}  // namespace

std::string_view quantisation_named(std::string_view text) {
    const auto found =
        std::ranges::find_if(kTypes, [&](std::string_view type) { return is_same(type, text); });
    return found == kTypes.end() ? std::string_view() : *found;
}

std::string quantisations() {
    std::string all;
    for (const std::string_view type : kTypes) all += format("{}{}", all.empty() ? "" : ", ", type);
    return all;
}

std::optional<TensorCount> read_tensor_line(std::string_view line) {
    line = trimmed(line);
    if (!line.starts_with('[')) return std::nullopt;
    line.remove_prefix(1);
    const auto done = take_count(line);
    if (!done || !line.starts_with('/')) return std::nullopt;
    line.remove_prefix(1);
    const auto total = take_count(line);
    if (!total || !line.starts_with(']') || *done > *total) return std::nullopt;
    return TensorCount{.done = *done, .total = *total};
}

std::optional<PerplexityScore> read_perplexity(std::string_view line) {
    constexpr std::string_view kFront = "Final estimate: PPL = ";
    constexpr std::string_view kError = "+/- ";
    const std::size_t front = line.find(kFront);
    if (front == std::string_view::npos) return std::nullopt;
    line.remove_prefix(front + kFront.size());
    const std::size_t error = line.find(kError);
    if (error == std::string_view::npos) return std::nullopt;
    const auto value = number_in(line);
    const auto deviation = number_in(line.substr(error + kError.size()));
    if (!value || !deviation) return std::nullopt;
    return PerplexityScore{.value = *value, .error = *deviation};
}

struct LlamaQuantize::State {
    explicit State(std::filesystem::path output) : unfinished(std::move(output)) {}

    ScratchFile unfinished;
    Reason reason;
    TensorCount progress;
    std::unique_ptr<runtime::ChildProcess> child;  // last: its lines come here
};

LlamaQuantize::LlamaQuantize(std::unique_ptr<State> state) : state_(std::move(state)) {}
LlamaQuantize::~LlamaQuantize() = default;

Result<std::unique_ptr<LlamaQuantize>> LlamaQuantize::start(boost::asio::io_context& io,
                                                            const Quantize& what) {
    std::vector<std::string> arguments;
    if (what.again) arguments.emplace_back("--allow-requantize");
    if (!what.importance.empty()) {
        arguments.insert(arguments.end(), {"--imatrix", what.importance});
    }
    arguments.insert(arguments.end(),
                     {what.input, what.output, std::string(what.type), format("{}", what.threads)});
    auto state = std::make_unique<State>(what.output);
    const auto on_line = [state = state.get()](std::string_view line) {
        state->reason.take(line);
        if (const auto tensors = read_tensor_line(line)) state->progress = *tensors;
    };
    TRY(state->child, runtime::ChildProcess::start(io, {.program = what.program,
                                                        .arguments = std::move(arguments),
                                                        .environment = {"GGML_NO_BACKTRACE=1"},
                                                        .on_line = on_line}));
    return std::unique_ptr<LlamaQuantize>(new LlamaQuantize(std::move(state)));
}

TensorCount LlamaQuantize::progress() const { return state_->progress; }

Awaitable<std::optional<Result<void>>> LlamaQuantize::wait(Deadline until) {
    auto ended = co_await with_deadline(until, runtime::end_of(*state_->child));
    if (!ended && ended.error().code == Code::DeadlineExceeded) co_return std::nullopt;
    if (!ended) co_return Result<void>(std::unexpected(std::move(ended).error()));
    if (ended->code != 0) {
        co_return Result<void>(std::unexpected(failure("llama-quantize", *ended, state_->reason)));
    }
    state_->unfinished.keep();
    co_return Result<void>();
}

Awaitable<Result<PerplexityScore>> run_llama_perplexity(boost::asio::io_context& io,
                                                        Perplexity what, Deadline deadline) {
    const auto reason = std::make_shared<Reason>();
    const auto score = std::make_shared<std::optional<PerplexityScore>>();
    CO_TRY(const auto child,
           runtime::ChildProcess::start(
               io,
               {.program = what.program,
                .arguments = {"--model", what.model, "--file", what.text, "--ctx-size",
                              format("{}", what.context), "--batch-size",
                              format("{}", what.context), "--chunks", format("{}", what.chunks_max),
                              "--threads", format("{}", what.threads), "--no-warmup", "--offline"},
                .environment = {"GGML_NO_BACKTRACE=1"},
                .on_line = [reason, score](std::string_view line) {
                    reason->take(line);
                    if (const auto read = read_perplexity(line)) *score = *read;
                }}));
    CO_TRY(const runtime::ExitStatus status,
           co_await with_deadline(deadline, runtime::end_of(*child)));
    if (status.code == 0 && *score) co_return **score;
    co_return fail(failure("llama-perplexity", status, *reason));
}

}  // namespace hearth::worker
