#pragma once

#include <boost/json/object.hpp>
#include <cstdint>
#include <functional>
#include <optional>
#include <string_view>

#include "inference/generate.h"
#include "runtime/awaitable.h"
#include "runtime/event.h"
#include "runtime/task_group.h"

namespace hearth::replicas {

// Two that are asked for one answer. Shard-local; one per call. Whoever has something for the
// caller first is the winner; the other is cancelled, and nothing of it reaches the caller.
class Race {
  public:
    enum class Runner : std::uint8_t { First, Spare };

    explicit Race(boost::asio::io_context& io) : left_sink_(io), tasks_(io) {}

    // Returns when both have ended. Where the caller is cancelled both are.
    Awaitable<void> run(Awaitable<void> first_task, Awaitable<void> spare_task);

    std::optional<Runner> winner() const { return winner_; }
    bool lost(Runner who) const { return winner_ && *winner_ != who; }
    // The answer is that runner's from now on. False: it has lost. Returns when the other is out of
    // the caller's sink; what it did there is whole.
    Awaitable<bool> claim(Runner who);
    // The same of an answer of which the caller sees nothing yet, and so of a sink that nobody is
    // in.
    void win(Runner who);
    // That runner is not to begin, or to end.
    void cancel(Runner who);
    bool cancelled(Runner who) const { return task_of(who).cancelled; }

  private:
    friend class RaceSink;
    struct Task {
        std::optional<runtime::TaskId> id;
        bool cancelled = false;
    };
    // In the sink without having won.
    class Visit;
    const Task& task_of(Runner who) const { return who == Runner::First ? first_ : spare_; }

    Task first_;
    Task spare_;
    std::optional<Runner> winner_;
    bool in_sink_ = false;
    runtime::Event left_sink_;
    runtime::TaskGroup tasks_;
};

// The caller's sink as one of the two sees it.
class RaceSink final : public inference::Sink {
  public:
    // Both must outlive it.
    RaceSink(Race& race, Race::Runner who, inference::Sink& next)
        : race_(race), who_(who), next_(next) {}

    // The spare's name is told when the answer is its own.
    void begin(inference::Origin origin) override;
    Awaitable<Result<void>> push(boost::json::object event) override;
    Awaitable<Result<void>> alive() override;
    bool relays() const override { return next_.relays(); }
    bool shows_at_once() const override { return next_.shows_at_once(); }
    void first_word() override;
    Awaitable<Result<void>> relay(std::string_view bytes, bool says) override;

  private:
    // What is pushed is the caller's answer from now on.
    bool owns() const { return race_.winner() == who_ && !origin_; }
    Awaitable<Result<void>> claim();

    Race& race_;
    const Race::Runner who_;
    inference::Sink& next_;
    std::optional<inference::Origin> origin_;
};

}  // namespace hearth::replicas
