#include "backends/worker/llama_memory.h"

#include <algorithm>
#include <utility>

#include "base/format.h"

namespace hearth::worker {
namespace {

constexpr std::chrono::seconds kFitTime{30};
constexpr std::size_t kKnownMax = 64;
// Contexts are rounded up to it, so that callers who ask for a little more each do not each reload.
constexpr std::size_t kContextStep = 1024;

// Where llama.cpp cannot be asked: its weights, and as much again up to a bound.
LlamaFitBytes guess(std::uint64_t weights) {
    const std::uint64_t more = std::clamp(weights, 256 * kMib, 4096 * kMib);
    return {.devices = {{"host", weights + more}}, .context = more / 2};
}

}  // namespace

LlamaMemory::LlamaMemory(LlamaMemoryOptions options)
    : options_(std::move(options)),
      context_(options_.context),
      planned_(options_.context),
      proven_(options_.context) {}

LlamaMemory::Need LlamaMemory::need_of(LlamaFitBytes fit) const {
    Need need{.bytes = std::move(fit.devices)};
    need.bytes["host"] += options_.more_bytes;
    std::erase_if(need.bytes,
                  [&](const auto& one) { return !options_.ledger->budget().contains(one.first); });
    if (!options_.prompt_cache_mib) return need;
    Need cached = with_cache(need, fit.context);
    const bool is_asked_for = *options_.prompt_cache_mib > 0;
    const bool fits =
        options_.ledger->check_possible({.model = options_.model, .need = cached.bytes})
            .has_value();
    return is_asked_for || fits ? cached : need;
}

LlamaMemory::Need LlamaMemory::with_cache(Need need, std::uint64_t context_bytes) const {
    const std::size_t context_mib = std::max<std::size_t>(1, (context_bytes + kMib - 1) / kMib);
    const std::size_t asked_mib = options_.prompt_cache_mib.value_or(0);
    need.cache_mib = asked_mib > 0 ? asked_mib : context_mib;
    const auto host = need.bytes.find("host");
    if (host != need.bytes.end()) host->second += std::max(need.cache_mib, context_mib) * kMib;
    return need;
}

Awaitable<Result<LlamaMemory::Need>> LlamaMemory::need_with(boost::asio::io_context& io,
                                                            std::size_t context) {
    {
        const MutexLock lock(mutex_);
        const auto found = known_.find(context);
        if (found != known_.end()) co_return found->second;
    }
    LlamaFit fit = options_.fit;
    if (context != options_.context) {
        fit.flags.insert(fit.flags.end(), {"--ctx-size", format("{}", context)});
    }
    auto bytes = co_await run_llama_fit(io, std::move(fit), Deadline::after(kFitTime));
    if (!bytes && bytes.error().code == Code::InvalidArgument) {
        co_return fail(std::move(bytes).error());
    }
    Need need = need_of(bytes ? *std::move(bytes) : guess(options_.weights));
    const MutexLock lock(mutex_);
    if (known_.size() >= kKnownMax) known_.clear();
    known_.insert_or_assign(context, need);
    co_return need;
}

Awaitable<Result<DeviceBytes>> LlamaMemory::plan(boost::asio::io_context& io) {
    std::size_t context = 0;
    {
        const MutexLock lock(mutex_);
        context = planned_ = context_;
    }
    CO_TRY(Need need, co_await need_with(io, context));
    const MutexLock lock(mutex_);
    planned_cache_mib_ = need.cache_mib;
    co_return std::move(need.bytes);
}

std::vector<std::string> LlamaMemory::planned_flags() const {
    const MutexLock lock(mutex_);
    std::vector<std::string> flags;
    if (planned_ != options_.context) flags = {"--ctx-size", format("{}", planned_)};
    if (options_.prompt_cache_mib == 0) {
        flags.insert(flags.end(), {"--cache-ram", format("{}", planned_cache_mib_)});
    }
    return flags;
}

std::size_t LlamaMemory::planned_context() const {
    const MutexLock lock(mutex_);
    return planned_;
}

Awaitable<Result<std::size_t>> LlamaMemory::grow(boost::asio::io_context& io, std::size_t tokens) {
    tokens = std::min(tokens, options_.context_max);
    {
        const MutexLock lock(mutex_);
        if (tokens <= context_) co_return tokens;
    }
    const std::size_t rounded = std::min((tokens + kContextStep - 1) / kContextStep * kContextStep,
                                         std::max(options_.context_max, tokens));
    CO_TRY(Need need, co_await need_with(io, rounded));
    CO_TRY_VOID(
        options_.ledger->check_possible({.model = options_.model, .need = std::move(need.bytes)}));
    const MutexLock lock(mutex_);
    context_ = std::max(context_, rounded);
    co_return tokens;
}

void LlamaMemory::keep() {
    const MutexLock lock(mutex_);
    proven_ = planned_;
}

void LlamaMemory::shrink() {
    const MutexLock lock(mutex_);
    context_ = proven_;
}

}  // namespace hearth::worker
