#pragma once

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <cstddef>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "cache/entry.h"
#include "cache/key.h"
#include "cache/policy.h"
#include "inference/generate.h"
#include "pipeline/caller.h"

namespace hearth::pipeline {

cache::Space space_of(const inference::GenerateRequest& request);

// Whether another call would be answered alike: the most likely token is always taken, or chance
// has a seed.
bool is_repeatable(const inference::GenerateRequest& request);

// Of a call to whatever has that identity (inference::Backend::identity). `relays`: the answer may
// come in the words of the caller's dialect, and is for callers who write the same alone; else it
// is there for all dialects.
cache::Key key_of(const inference::GenerateRequest& request, std::string_view identity,
                  const Caller& caller, bool relays);

// Passes an answer on and writes it down.
class KeepingSink final : public inference::Sink {
  public:
    // Longer answers are passed on and not kept.
    static constexpr std::size_t kBytesMax = 4 << 20;

    KeepingSink(inference::Sink& next, inference::Operation operation, bool relays)
        : next_(next), operation_(operation), relays_(relays) {}

    void begin(inference::Origin origin) override;
    Awaitable<Result<void>> push(boost::json::object event) override;
    Awaitable<Result<void>> alive() override { co_return co_await next_.alive(); }
    bool relays() const override { return relays_ && next_.relays(); }
    Awaitable<Result<void>> relay(std::string_view bytes, bool says) override;
    bool shows_at_once() const override { return next_.shows_at_once(); }
    void first_word() override { next_.first_word(); }

    // Nothing: it is not to be kept. Too long, without an end, or cut off by a filter.
    std::optional<std::string> payload(const inference::GenerateReply& reply) const;

  private:
    void note(const boost::json::object& event);
    bool join(const boost::json::object& event);
    bool has_ended() const;

    inference::Sink& next_;
    const inference::Operation operation_;
    const bool relays_;
    inference::Origin origin_;
    boost::json::array events_;
    std::string relayed_;  // instead of events
    std::size_t bytes_ = 0;
};

// A kept answer, to be said again.
struct KeptAnswer {
    inference::Origin origin;
    boost::json::array events;
    std::string relayed;  // instead of events
    inference::GenerateReply reply;

    // Nothing: the entry holds no answer.
    static std::optional<KeptAnswer> read(const cache::Entry& entry);
    Awaitable<Result<inference::GenerateReply>> say(inference::Sink& sink);
};

}  // namespace hearth::pipeline
