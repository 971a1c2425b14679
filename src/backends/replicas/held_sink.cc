#include "backends/replicas/held_sink.h"

#include <utility>

namespace hearth::replicas {

Awaitable<Result<void>> HeldSink::pass(boost::json::object event) {
    Result<void> pushed = co_await next_.push(std::move(event));
    sink_failed_ = !pushed;
    co_return pushed;
}

Awaitable<Result<void>> HeldSink::pass(std::string_view bytes, bool says) {
    Result<void> relayed = co_await next_.relay(bytes, says);
    sink_failed_ = !relayed;
    co_return relayed;
}

Awaitable<Result<void>> HeldSink::push(boost::json::object event) {
    if (!committed_ && events_.size() < kEventsMax && !inference::says_something(event)) {
        events_.push_back(std::move(event));
        co_return Result<void>();
    }
    if (!committed_) CO_TRY_VOID(co_await begin_saying());
    co_return co_await pass(std::move(event));
}

Awaitable<Result<void>> HeldSink::relay(std::string_view bytes, bool says) {
    if (!committed_ && !says && bytes_.size() + bytes.size() <= kBytesMax) {
        bytes_ += bytes;
        co_return Result<void>();
    }
    if (!committed_) CO_TRY_VOID(co_await begin_saying());
    co_return co_await pass(bytes, says);
}

Awaitable<Result<void>> HeldSink::alive() {
    Result<void> told = co_await next_.alive();
    sink_failed_ = !told;
    co_return told;
}

Awaitable<Result<void>> HeldSink::begin_saying() {
    time_to_first_ = std::chrono::steady_clock::now() - begun_;
    return release();
}

Awaitable<Result<void>> HeldSink::release() {
    committed_ = true;
    for (boost::json::object& event : std::exchange(events_, {})) {
        CO_TRY_VOID(co_await pass(std::move(event)));
    }
    const std::string bytes = std::exchange(bytes_, {});
    if (bytes.empty()) co_return Result<void>();
    co_return co_await pass(bytes, false);
}

}  // namespace hearth::replicas
