#include "backends/replicas/held_sink.h"

#include <boost/json.hpp>
#include <utility>

#include "inference/json.h"

namespace hearth::replicas {

namespace json = boost::json;

Awaitable<Result<void>> HeldSink::pass(json::object event) {
    Result<void> pushed = co_await next_.push(std::move(event));
    sink_failed_ = !pushed;
    co_return pushed;
}

Awaitable<Result<void>> HeldSink::pass(std::string_view bytes, bool says) {
    Result<void> relayed = co_await next_.relay(bytes, says);
    sink_failed_ = !relayed;
    co_return relayed;
}

Awaitable<Result<void>> HeldSink::push(json::object event) {
    if (!committed_ && keeps(event)) {
        events_.push_back(std::move(event));
        co_return Result<void>();
    }
    if (!committed_) CO_TRY_VOID(co_await begin_saying());
    co_return co_await pass(std::move(event));
}

bool HeldSink::keeps(const json::object& event) {
    const bool says = inference::says_something(event);
    if (!keeps_all_) return !says && events_.size() < kEventsMax;
    if (says && !time_to_first_) {
        note_first();
        next_.first_word();
    }
    events_bytes_ += inference::weight_of(event);
    return events_bytes_ <= kAnswerBytesMax;
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
    note_first();
    return release();
}

void HeldSink::note_first() {
    if (!time_to_first_) time_to_first_ = std::chrono::steady_clock::now() - begun_;
}

Awaitable<Result<void>> HeldSink::release() {
    committed_ = true;
    for (json::object& event : std::exchange(events_, {})) {
        CO_TRY_VOID(co_await pass(std::move(event)));
    }
    const std::string bytes = std::exchange(bytes_, {});
    if (bytes.empty()) co_return Result<void>();
    co_return co_await pass(bytes, false);
}

}  // namespace hearth::replicas
