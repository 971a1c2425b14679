#include "backends/replicas/race.h"

#include <utility>

namespace hearth::replicas {
namespace {

std::unexpected<Error> another_answers() {
    return fail(Code::Cancelled, "another server gives this answer");
}

}  // namespace

class Race::Visit {
  public:
    explicit Visit(Race& race) : race_(race) { race_.in_sink_ = true; }
    ~Visit() {
        race_.in_sink_ = false;
        race_.left_sink_.notify();
    }
    Visit(const Visit&) = delete;
    Visit& operator=(const Visit&) = delete;

  private:
    Race& race_;
};

Awaitable<void> Race::run(Awaitable<void> first_task, Awaitable<void> spare_task) {
    const auto begin = [this, &first_task, &spare_task] {
        first_.id = tasks_.next_id();
        tasks_.spawn("first of a race", std::move(first_task));
        if (spare_.cancelled) return;
        spare_.id = tasks_.next_id();
        tasks_.spawn("spare of a race", std::move(spare_task));
    };
    co_await tasks_.run(begin);
}

void Race::cancel(Runner who) {
    Task& task = who == Runner::First ? first_ : spare_;
    task.cancelled = true;
    if (task.id) tasks_.cancel(*task.id);
}

Awaitable<bool> Race::claim(Runner who) {
    if (winner_) co_return *winner_ == who;
    winner_ = who;
    // Cancelled in the middle of a write, the other would leave half of it in the caller's answer.
    while (in_sink_) co_await left_sink_.wait_until(runtime::Event::Clock::time_point::max());
    cancel(who == Runner::First ? Runner::Spare : Runner::First);
    co_return true;
}

void Race::win(Runner who) {
    if (winner_) return;
    winner_ = who;
    cancel(who == Runner::First ? Runner::Spare : Runner::First);
}

void RaceSink::first_word() {
    race_.win(who_);
    if (race_.winner() == who_) next_.first_word();
}

void RaceSink::begin(inference::Origin origin) {
    if (who_ == Race::Runner::First) return next_.begin(std::move(origin));
    origin_ = std::move(origin);
}

Awaitable<Result<void>> RaceSink::claim() {
    if (!co_await race_.claim(who_)) co_return another_answers();
    if (auto origin = std::exchange(origin_, std::nullopt)) next_.begin(*std::move(origin));
    co_return Result<void>();
}

Awaitable<Result<void>> RaceSink::push(boost::json::object event) {
    if (!owns()) CO_TRY_VOID(co_await claim());
    co_return co_await next_.push(std::move(event));
}

Awaitable<Result<void>> RaceSink::relay(std::string_view bytes, bool says) {
    if (!owns()) CO_TRY_VOID(co_await claim());
    co_return co_await next_.relay(bytes, says);
}

// One of the two that are at work tells the caller so; a sink takes one thing at a time.
Awaitable<Result<void>> RaceSink::alive() {
    if (race_.lost(who_)) co_return another_answers();
    if (race_.winner()) co_return co_await next_.alive();
    if (race_.in_sink_) co_return Result<void>();
    const Race::Visit visit(race_);
    co_return co_await next_.alive();
}

}  // namespace hearth::replicas
