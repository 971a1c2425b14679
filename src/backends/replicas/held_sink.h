#pragma once

#include <boost/json/object.hpp>
#include <chrono>
#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "inference/generate.h"

namespace hearth::replicas {

// Keeps the beginning of an answer until it says something: up to then another backend can still
// take over, and a failure has a status of its own. Of what is kept, at most kEventsMax events or
// kBytesMax bytes; more than that is let go. One per attempt.
//
// An answer that the caller sees at its end only is kept until then, if its events take no more
// than kAnswerBytesMax in memory, so that the caller gets one backend's answer and never a part of
// one. What comes in the upstream's own words comes whole already.
class HeldSink final : public inference::Sink {
  public:
    static constexpr std::size_t kEventsMax = 64;
    static constexpr std::size_t kBytesMax = 256 << 10;
    static constexpr std::size_t kAnswerBytesMax = 64 << 20;  // what is put together of it may have

    // `next` must outlive it.
    explicit HeldSink(inference::Sink& next) : next_(next), keeps_all_(!next.shows_at_once()) {}

    void begin(inference::Origin origin) override { next_.begin(std::move(origin)); }
    Awaitable<Result<void>> push(boost::json::object event) override;
    Awaitable<Result<void>> alive() override;
    bool relays() const override { return next_.relays(); }
    bool shows_at_once() const override { return next_.shows_at_once(); }
    void first_word() override { next_.first_word(); }
    Awaitable<Result<void>> relay(std::string_view bytes, bool says) override;

    // The answer has ended: what is kept belongs to it.
    Awaitable<Result<void>> release();
    // The caller has seen a part of this answer, so that nobody else can give it.
    bool committed() const { return committed_; }
    // From the making of this to the first that the answer said; absent: it has not said anything.
    std::optional<std::chrono::nanoseconds> time_to_first() const { return time_to_first_; }
    // The caller's side failed, not the backend's.
    bool sink_failed() const { return sink_failed_; }

  private:
    bool keeps(const boost::json::object& event);
    void note_first();
    Awaitable<Result<void>> begin_saying();
    Awaitable<Result<void>> pass(boost::json::object event);
    Awaitable<Result<void>> pass(std::string_view bytes, bool says);

    const std::chrono::steady_clock::time_point begun_ = std::chrono::steady_clock::now();
    inference::Sink& next_;
    const bool keeps_all_;
    std::size_t events_bytes_ = 0;  // of an answer that is kept whole
    std::vector<boost::json::object> events_;
    std::string bytes_;
    std::optional<std::chrono::nanoseconds> time_to_first_;
    bool committed_ = false;
    bool sink_failed_ = false;
};

}  // namespace hearth::replicas
