#include "backends/replicas/failover.h"

#include <algorithm>
#include <array>
#include <bit>
#include <boost/json.hpp>
#include <random>
#include <set>
#include <utility>

#include "backends/replicas/continuation.h"
#include "backends/replicas/hedge.h"
#include "backends/replicas/hedge_budget.h"
#include "backends/replicas/held_sink.h"
#include "backends/replicas/work.h"
#include "base/format.h"

namespace hearth::replicas {
namespace {

using Clock = std::chrono::steady_clock;
using inference::EmbedReply;
using inference::EmbedRequest;
using inference::GenerateReply;
using inference::GenerateRequest;
using inference::InquiryRequest;
using inference::Sink;
using std::chrono::milliseconds;

// Half of it certain, half of it random, so that those who failed together do not come back
// together.
milliseconds jittered(milliseconds wait) {
    thread_local std::minstd_rand random(std::random_device{}());
    const auto half = wait.count() / 2;
    return milliseconds(half + std::uniform_int_distribution<std::int64_t>(0, half)(random));
}

// Not of a call that has no time left.
bool is_servers(const Error& error, Deadline deadline) {
    if (error.code == Code::DeadlineExceeded && deadline.passed()) return false;
    return may_succeed_elsewhere(error);
}

bool stands_in(Cause cause, const Error& error) {
    const bool context = error.reason == "context_length_exceeded";
    return cause == Cause::Context ? context : !context && may_succeed_elsewhere(error);
}

// Whether the same server would only say it again, or take as long again.
bool asks_in_vain(const Error& error) {
    constexpr std::array kTimeouts = {"header_timeout", "first_byte_timeout", "first_token_timeout",
                                      "idle_timeout"};
    return error.code == Code::Unsupported || error.code == Code::NotFound ||
           error.code == Code::DeadlineExceeded ||
           std::ranges::find(kTimeouts, error.reason) != kTimeouts.end();
}

bool is_choice(const Tier& tier) { return tier.replicas.size() > 1; }

// A server is known by the count of its work.
bool is_same(const Replica& a, const Replica& b) {
    return a.load == b.load && a.backend->info().model == b.backend->info().model;
}

// Where the replicas of one tier stand in another; nothing for those that are not there.
std::vector<std::optional<std::size_t>> places_in(const Tier& other, const Tier& tier) {
    std::vector<std::optional<std::size_t>> places;
    for (const Replica& replica : tier.replicas) {
        const auto found = std::ranges::find_if(
            other.replicas, [&](const Replica& one) { return is_same(one, replica); });
        places.push_back(found == other.replicas.end()
                             ? std::nullopt
                             : std::optional<std::size_t>(found - other.replicas.begin()));
    }
    return places;
}

}  // namespace

bool has_choice(std::span<const Tier> tiers) { return std::ranges::any_of(tiers, is_choice); }

bool may_succeed_elsewhere(const Error& error) {
    switch (error.code) {
        case Code::RateLimited:
        case Code::BudgetExhausted:
        case Code::Overloaded:
        case Code::Unavailable:
        case Code::BadUpstream:
        case Code::Internal:
        case Code::NotFound:
        case Code::Unsupported:
        // Of that server's queue or of its whole time; the caller's own time is looked at before.
        case Code::DeadlineExceeded: return true;
        case Code::InvalidArgument:
        case Code::Unauthenticated:
        case Code::Forbidden:
        case Code::TooLarge:
        case Code::Cancelled: return false;
    }
    return false;
}

struct Failover::Impl {
    // A tier with the choice among its replicas.
    struct Choice {
        Choice(Tier tier_in, BalancerOptions options)
            : tier(std::move(tier_in)), balancer(tier.replicas.size(), options) {}
        Choice(Tier tier_in, BalancerOptions options, const Choice& earlier)
            : tier(std::move(tier_in)),
              balancer(earlier.balancer, places_in(earlier.tier, tier), options) {}
        const Tier tier;
        Balancer balancer;
    };
    // A call on its way through the tiers.
    struct Call {
        Work work;
        Deadline deadline;
        bool may_hedge = false;
        bool final = false;  // nobody else is to be asked
    };
    // Of one tier.
    struct Tries {
        std::uint64_t tried = 0;  // a bit for each replica
        std::size_t attempts = 1;
        void note(std::size_t index) { tried |= std::uint64_t{1} << index; }
        bool has(std::size_t index) const { return (tried >> index & 1U) != 0; }
    };

    Impl(std::vector<Tier> tiers, FailoverOptions options_in, FailoverMetrics metrics_in,
         const Impl* earlier)
        : hedge_budget(earlier != nullptr ? earlier->hedge_budget
                                          : std::make_shared<HedgeBudget>()),
          options(options_in),
          metrics(metrics_in) {
        CHECK(!tiers.empty());
        for (Tier& tier : tiers) {
            const Choice* before = earlier != nullptr ? earlier->find_related(tier) : nullptr;
            choices.push_back(
                before != nullptr
                    ? std::make_unique<Choice>(std::move(tier), options.balancer, *before)
                    : std::make_unique<Choice>(std::move(tier), options.balancer));
        }
    }

    // The first with one of the tier's replicas; nullptr: there is none.
    const Choice* find_related(const Tier& tier) const {
        for (const auto& choice : choices) {
            const auto places = places_in(choice->tier, tier);
            if (std::ranges::any_of(places, [](auto place) { return place.has_value(); })) {
                return choice.get();
            }
        }
        return nullptr;
    }

    // Whether there is anybody to go on where another broke off.
    bool continues() const { return options.continues && (choices.size() > 1 || chooses()); }
    bool chooses() const {
        return std::ranges::any_of(choices,
                                   [](const auto& choice) { return is_choice(choice->tier); });
    }
    bool hedges() const { return options.hedge_after.count() > 0; }
    Call hedged(Work work, Deadline deadline) const;
    // Asks one after the other. `Ask`: (Attempt&) to Awaitable<Result<T>>.
    template <class T, class Ask>
    Awaitable<Result<T>> run(Call call, Ask ask) const;
    template <class T, class Ask>
    Awaitable<Result<T>> run_tier(Choice& choice, Call& call, Ask ask) const;
    template <class T, class Ask>
    Awaitable<Result<T>> run_hedged(Choice& choice, Call& call, Ask ask, Tries& tries,
                                    Attempt& attempt) const;
    Awaitable<Result<GenerateReply>> run_on(const GenerateRequest& request, Sink& sink,
                                            Call call) const;
    static Attempt begin(const Choice& choice, std::size_t index) {
        return {.replica = &choice.tier.replicas[index], .index = index, .begun = Clock::now()};
    }
    std::size_t choose(Choice& choice, const Work& work, const Tries& tries) const;
    std::optional<Attempt> find_spare(Choice& choice, Call& call, const Tries& tries,
                                      const Attempt& first) const;
    Awaitable<bool> wait_for_another(const Error& error, std::size_t attempts,
                                     Deadline deadline) const;

    // Whoever stands in this one's place goes on with it: a new one would have its whole burst.
    const std::shared_ptr<HedgeBudget> hedge_budget;
    const FailoverOptions options;
    const FailoverMetrics metrics;
    std::vector<std::unique_ptr<Choice>> choices;
};

Failover::Failover(std::vector<Tier> tiers, FailoverOptions options, FailoverMetrics metrics,
                   const Failover* earlier)
    : impl_(std::make_unique<Impl>(std::move(tiers), options, metrics,
                                   earlier != nullptr ? earlier->impl_.get() : nullptr)) {}
Failover::~Failover() = default;

bool Failover::is_made_of(std::span<const Tier> tiers, const FailoverOptions& options) const {
    const auto same_replica = [](const Replica& a, const Replica& b) {
        return is_same(a, b) && a.weight == b.weight;
    };
    const auto same_tier = [&](const auto& choice, const Tier& tier) {
        return choice->tier.cause == tier.cause &&
               std::ranges::equal(choice->tier.replicas, tier.replicas, same_replica);
    };
    return options == impl_->options && std::ranges::equal(impl_->choices, tiers, same_tier);
}

// REQUIRES one that was not tried
std::size_t Failover::Impl::choose(Choice& choice, const Work& work, const Tries& tries) const {
    std::vector<Standing> standings;
    for (const Replica& replica : choice.tier.replicas) {
        const bool untried = !tries.has(standings.size());
        const bool up = replica.backend->probe() != inference::Health::Down;
        standings.push_back({.usable = untried && up,
                             .weight = replica.weight,
                             .outstanding = replica.load->tokens()});
    }
    // Where all are down one of them is asked all the same: it says why.
    if (std::ranges::none_of(standings, &Standing::usable)) {
        for (std::size_t i = 0; i < standings.size(); ++i) standings[i].usable = !tries.has(i);
    }
    const auto chosen = choice.balancer.choose(standings, work, Clock::now());
    CHECK(chosen.has_value());
    return *chosen;
}

// One on another server that would begin at once: a model that must be loaded first is no help.
std::optional<Attempt> Failover::Impl::find_spare(Choice& choice, Call& call, const Tries& tries,
                                                  const Attempt& first) const {
    const Clock::time_point now = Clock::now();
    std::vector<Standing> standings;
    for (const Replica& replica : choice.tier.replicas) {
        const std::size_t i = standings.size();
        const bool usable = !tries.has(i) && replica.load != first.replica->load &&
                            replica.backend->probe() == inference::Health::Ready &&
                            !choice.balancer.ejected(i, now);
        standings.push_back(
            {.usable = usable, .weight = replica.weight, .outstanding = replica.load->tokens()});
    }
    if (std::ranges::none_of(standings, &Standing::usable)) return std::nullopt;
    if (!hedge_budget->take()) return std::nullopt;
    const auto chosen = choice.balancer.choose_beside(standings, call.work, now);
    CHECK(chosen.has_value());
    call.may_hedge = false;
    metrics.hedges.add();
    return begin(choice, *chosen);
}

// All have been asked. False: it is not worth waiting.
Awaitable<bool> Failover::Impl::wait_for_another(const Error& error, std::size_t attempts,
                                                 Deadline deadline) const {
    if (asks_in_vain(error)) co_return false;
    const auto doublings = std::min<std::size_t>(attempts - 1, 10);
    milliseconds wait = jittered(options.backoff * (1 << doublings));
    if (error.retry_after) wait = std::max(wait, *error.retry_after);
    if (wait > options.patience || wait >= deadline.left()) co_return false;
    co_return (co_await sleep_until(Deadline::after(wait))).has_value();
}

template <class T, class Ask>
Awaitable<Result<T>> Failover::Impl::run_tier(Choice& choice, Call& call, Ask ask) const {
    const std::size_t count = choice.tier.replicas.size();
    for (Tries tries;; ++tries.attempts) {
        Attempt attempt = begin(choice, choose(choice, call.work, tries));
        Result<T> reply = fail(Code::Internal, "not asked");
        if (call.may_hedge && count > 1 && tries.attempts < options.attempts_max) {
            reply = co_await run_hedged<T>(choice, call, ask, tries, attempt);
        } else {
            const Load::Share share(attempt.replica->load, call.work.tokens);
            reply = co_await ask(attempt);
        }
        if (reply) {
            choice.balancer.succeeded(attempt.index, attempt.first_token, attempt.begun,
                                      Clock::now());
            co_return reply;
        }
        call.final = attempt.final || call.deadline.passed();
        if (call.final || !may_succeed_elsewhere(reply.error())) co_return reply;
        choice.balancer.failed(attempt.index, attempt.begun, Clock::now());
        // What has begun is not made twice.
        if (attempt.first_token) call.may_hedge = false;
        if (tries.attempts == options.attempts_max) co_return reply;
        tries.note(attempt.index);
        if (static_cast<std::size_t>(std::popcount(tries.tried)) < count) {
            metrics.failovers.add();
            continue;
        }
        if (!co_await wait_for_another(reply.error(), tries.attempts, call.deadline)) {
            co_return reply;
        }
        tries.tried = 0;
        metrics.retries.add();
    }
}

// Asks the attempt's replica, and another where that is slow. Afterwards the attempt is the one
// whose reply this is; the other has been counted if it failed, and left alone if it was cancelled.
template <class T, class Ask>
Awaitable<Result<T>> Failover::Impl::run_hedged(Choice& choice, Call& call, Ask ask, Tries& tries,
                                                Attempt& attempt) const {
    const Attempt first = attempt;
    Hedge<T> hedge(co_await this_io(),
                   {.ask = ask,
                    .find_spare = [&] { return find_spare(choice, call, tries, first); },
                    .after = options.hedge_after,
                    .tokens = call.work.tokens},
                   first);
    co_await hedge.run();
    const auto* other = hedge.failed_too();
    if (other != nullptr && is_servers(other->reply.error(), call.deadline)) {
        choice.balancer.failed(other->attempt.index, other->attempt.begun, Clock::now());
        tries.note(other->attempt.index);
        ++tries.attempts;
    }
    attempt = hedge.answered().attempt;
    attempt.race = nullptr;
    Result<T> reply = std::move(hedge.answered().reply);
    if (hedge.spare_won() && (reply || attempt.first_token)) metrics.hedges_won.add();
    co_return reply;
}

template <class T, class Ask>
Awaitable<Result<T>> Failover::Impl::run(Call call, Ask ask) const {
    Result<T> reply = fail(Code::Internal, "not asked");
    for (std::size_t i = 0; i < choices.size(); ++i) {
        if (i > 0 && !stands_in(choices[i]->tier.cause, reply.error())) continue;
        if (i > 0) metrics.fallbacks.add();
        reply = co_await run_tier<T>(*choices[i], call, ask);
        if constexpr (requires { reply->stands_in; }) {
            if (reply && i > 0) reply->stands_in = true;
        }
        if (reply || call.final) co_return reply;
    }
    co_return reply;
}

Failover::Impl::Call Failover::Impl::hedged(Work work, Deadline deadline) const {
    const bool may_hedge = hedges() && chooses();
    if (may_hedge) hedge_budget->note_call();
    return {.work = std::move(work), .deadline = deadline, .may_hedge = may_hedge};
}

namespace {

// Names who answers now, and keeps the beginning of the answer back.
Awaitable<Result<GenerateReply>> generate_once(const GenerateRequest& request, Sink& sink,
                                               Attempt& attempt, Deadline deadline) {
    const inference::BackendInfo info = attempt.replica->backend->info();
    sink.begin({.model = info.model, .backend = info.name});
    HeldSink held(sink);
    auto reply = co_await attempt.replica->backend->generate(request, held, deadline);
    attempt.first_token = held.time_to_first();
    attempt.final = held.committed() || held.sink_failed();
    if (!reply) co_return reply;
    attempt.final = true;  // what is kept goes to the caller now
    CO_TRY_VOID(co_await held.release());
    co_return reply;
}

Awaitable<Result<GenerateReply>> generate_raced(const GenerateRequest& request, Sink& sink,
                                                Attempt& attempt, Deadline deadline) {
    RaceSink ours(*attempt.race, attempt.runner, sink);
    co_return co_await generate_once(request, ours, attempt, deadline);
}

Awaitable<Result<GenerateReply>> ask_generate(const GenerateRequest& request, Sink& sink,
                                              Attempt& attempt, Deadline deadline) {
    if (attempt.race != nullptr) return generate_raced(request, sink, attempt, deadline);
    return generate_once(request, sink, attempt, deadline);
}

// The same where another has begun, or will go on. What the loser of a race fails with concerns
// nobody.
Awaitable<Result<GenerateReply>> generate_part(Continuation& so_far, Attempt& attempt,
                                               Deadline deadline) {
    const GenerateRequest call = so_far.next_call();
    auto reply = co_await ask_generate(call, so_far, attempt, deadline);
    const bool lost = attempt.race != nullptr && attempt.race->lost(attempt.runner);
    if (!reply && !lost && so_far.may_go_on(reply.error())) attempt.final = false;
    co_return reply;
}

Awaitable<Result<EmbedReply>> embed_once(const EmbedRequest& request, Attempt& attempt,
                                         Deadline deadline) {
    auto reply = co_await attempt.replica->backend->embed(request, deadline);
    if (reply) reply->backend = attempt.replica->backend->info().name;
    co_return reply;
}

Awaitable<Result<inference::RerankReply>> rerank_once(const inference::RerankRequest& request,
                                                      Attempt& attempt, Deadline deadline) {
    auto reply = co_await attempt.replica->backend->rerank(request, deadline);
    if (reply) reply->backend = attempt.replica->backend->info().name;
    co_return reply;
}

Awaitable<Result<boost::json::object>> inquire_once(const InquiryRequest& request, Attempt& attempt,
                                                    Deadline deadline) {
    co_return co_await attempt.replica->backend->inquire(request, deadline);
}

}  // namespace

// Whoever cannot go on is not why the answer is incomplete.
Awaitable<Result<GenerateReply>> Failover::Impl::run_on(const GenerateRequest& request, Sink& sink,
                                                        Call call) const {
    Continuation so_far(request, sink);
    const auto ask = [&, deadline = call.deadline](Attempt& attempt) {
        return generate_part(so_far, attempt, deadline);
    };
    auto reply = co_await run<GenerateReply>(std::move(call), ask);
    metrics.continuations.add(static_cast<double>(so_far.continuations()));
    if (!reply && so_far.broken()) co_return fail(*so_far.broken());
    if (reply) so_far.make_whole(reply->usage);
    if (reply && so_far.continuations() > 0) reply->stands_in = true;
    co_return reply;
}

inference::BackendInfo Failover::info() const {
    return impl_->choices.front()->tier.replicas.front().backend->info();
}

// Of those who serve the model itself: whoever of them is asked, the answer is the model's.
std::string Failover::identity() const {
    std::set<std::string> identities;
    for (const Replica& replica : impl_->choices.front()->tier.replicas) {
        identities.insert(replica.backend->identity());
    }
    if (identities.contains({})) return {};
    std::string all;
    for (const std::string& identity : identities) all += identity + '\n';
    return all;
}

bool Failover::relays(inference::Dialect dialect) const {
    return std::ranges::any_of(impl_->choices.front()->tier.replicas, [&](const Replica& replica) {
        return replica.backend->relays(dialect);
    });
}

// Ready where anybody is.
inference::Health Failover::probe() const {
    auto best = inference::Health::Down;
    for (const auto& choice : impl_->choices) {
        for (const Replica& replica : choice->tier.replicas) {
            best = std::min(best, replica.backend->probe(), [](auto a, auto b) {
                constexpr auto kRank = [](inference::Health health) {
                    return health == inference::Health::Ready      ? 0
                           : health == inference::Health::Starting ? 1
                                                                   : 2;
                };
                return kRank(a) < kRank(b);
            });
        }
    }
    return best;
}

Awaitable<Result<GenerateReply>> Failover::generate(const GenerateRequest& request, Sink& sink,
                                                    Deadline deadline) {
    const auto ask = [&](Attempt& attempt) {
        return ask_generate(request, sink, attempt, deadline);
    };
    Impl::Call call = impl_->hedged(work_of(request, impl_->chooses()), deadline);
    if (impl_->continues()) co_return co_await impl_->run_on(request, sink, std::move(call));
    co_return co_await impl_->run<GenerateReply>(std::move(call), ask);
}

Awaitable<Result<EmbedReply>> Failover::embed(EmbedRequest request, Deadline deadline) {
    const auto ask = [&](Attempt& attempt) { return embed_once(request, attempt, deadline); };
    co_return co_await impl_->run<EmbedReply>(impl_->hedged(work_of(request), deadline), ask);
}

Awaitable<Result<inference::RerankReply>> Failover::rerank(inference::RerankRequest request,
                                                           Deadline deadline) {
    const auto ask = [&](Attempt& attempt) { return rerank_once(request, attempt, deadline); };
    co_return co_await impl_->run<inference::RerankReply>(impl_->hedged(work_of(request), deadline),
                                                          ask);
}

Awaitable<Result<boost::json::object>> Failover::inquire(InquiryRequest request,
                                                         Deadline deadline) {
    const auto ask = [&](Attempt& attempt) { return inquire_once(request, attempt, deadline); };
    Impl::Call call{.work = {}, .deadline = deadline};
    if (request.inquiry != inference::Inquiry::Describe) {
        co_return co_await impl_->run<boost::json::object>(std::move(call), ask);
    }
    // Another model stands in for this one, and is not it.
    co_return co_await impl_->run_tier<boost::json::object>(*impl_->choices.front(), call, ask);
}

// Whoever holds the model in memory of this machine is the first.
Awaitable<Result<std::chrono::nanoseconds>> Failover::load(inference::LoadRequest request,
                                                           Deadline deadline) {
    const Tier& tier = impl_->choices.front()->tier;
    co_return co_await tier.replicas.front().backend->load(request, deadline);
}

}  // namespace hearth::replicas
