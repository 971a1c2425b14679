#include "backends/replicas/failover.h"

#include <algorithm>
#include <array>
#include <bit>
#include <boost/json.hpp>
#include <random>
#include <utility>

#include "backends/replicas/continuation.h"
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

FailoverMetrics::FailoverMetrics(metrics::Registry& registry, const std::string& model)
    : retries(registry.counter("hearth_upstream_retries_total",
                               "Calls made once more to the server that failed",
                               {{"model", model}})),
      failovers(registry.counter("hearth_upstream_failovers_total",
                                 "Calls that went on to another server", {{"model", model}})),
      fallbacks(registry.counter("hearth_model_fallbacks_total",
                                 "Calls that went on to another model", {{"model", model}})),
      continuations(registry.counter("hearth_upstream_continuations_total",
                                     "Answers that broke off and that another server was asked to "
                                     "go on with",
                                     {{"model", model}})) {}

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
    // What is known of an attempt beside its result.
    struct Attempt {
        const Replica& replica;
        bool final = false;  // the caller has seen something, or has left
        std::optional<std::chrono::nanoseconds> first_token = {};
    };

    Impl(std::vector<Tier> tiers, FailoverOptions options_in, FailoverMetrics metrics_in,
         const Impl* earlier)
        : options(options_in), metrics(metrics_in) {
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
    // Asks one after the other. `Ask`: (Attempt&) to Awaitable<Result<T>>.
    template <class T, class Ask>
    Awaitable<Result<T>> run(Work work, Ask ask, Deadline deadline) const;
    template <class T, class Ask>
    Awaitable<Result<T>> run_tier(Choice& choice, const Work& work, Ask ask, Deadline deadline,
                                  bool& final) const;
    Awaitable<Result<GenerateReply>> run_on(const GenerateRequest& request, Sink& sink, Work work,
                                            Deadline deadline) const;
    std::size_t choose(Choice& choice, const Work& work, std::uint64_t tried) const;
    Awaitable<bool> wait_for_another(const Error& error, std::size_t attempts,
                                     Deadline deadline) const;

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
std::size_t Failover::Impl::choose(Choice& choice, const Work& work, std::uint64_t tried) const {
    std::vector<Standing> standings;
    for (const Replica& replica : choice.tier.replicas) {
        const bool untried = (tried >> standings.size() & 1U) == 0;
        const bool up = replica.backend->probe() != inference::Health::Down;
        standings.push_back({.usable = untried && up,
                             .weight = replica.weight,
                             .outstanding = replica.load->tokens()});
    }
    // Where all are down one of them is asked all the same: it says why.
    if (std::ranges::none_of(standings, &Standing::usable)) {
        for (std::size_t i = 0; i < standings.size(); ++i) {
            standings[i].usable = (tried >> i & 1U) == 0;
        }
    }
    const auto chosen = choice.balancer.choose(standings, work, Clock::now());
    CHECK(chosen.has_value());
    return *chosen;
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
Awaitable<Result<T>> Failover::Impl::run_tier(Choice& choice, const Work& work, Ask ask,
                                              Deadline deadline, bool& final) const {
    const std::size_t count = choice.tier.replicas.size();
    std::uint64_t tried = 0;
    for (std::size_t attempts = 1;; ++attempts) {
        const std::size_t index = choose(choice, work, tried);
        const Clock::time_point begun = Clock::now();
        Attempt attempt{.replica = choice.tier.replicas[index]};
        Result<T> reply = fail(Code::Internal, "not asked");
        {
            const Load::Share share(attempt.replica.load, work.tokens);
            reply = co_await ask(attempt);
        }
        if (reply) {
            choice.balancer.succeeded(index, attempt.first_token, begun, Clock::now());
            co_return reply;
        }
        final = attempt.final || deadline.passed();
        if (final || !may_succeed_elsewhere(reply.error())) co_return reply;
        choice.balancer.failed(index, begun, Clock::now());
        if (attempts == options.attempts_max) co_return reply;
        tried |= std::uint64_t{1} << index;
        if (static_cast<std::size_t>(std::popcount(tried)) < count) {
            metrics.failovers.add();
            continue;
        }
        if (!co_await wait_for_another(reply.error(), attempts, deadline)) co_return reply;
        tried = 0;
        metrics.retries.add();
    }
}

template <class T, class Ask>
Awaitable<Result<T>> Failover::Impl::run(Work work, Ask ask, Deadline deadline) const {
    Result<T> reply = fail(Code::Internal, "not asked");
    for (std::size_t i = 0; i < choices.size(); ++i) {
        if (i > 0 && !stands_in(choices[i]->tier.cause, reply.error())) continue;
        if (i > 0) metrics.fallbacks.add();
        bool final = false;
        reply = co_await run_tier<T>(*choices[i], work, ask, deadline, final);
        if (reply || final) co_return reply;
    }
    co_return reply;
}

namespace {

// Names who answers now, and keeps the beginning of the answer back.
template <class Attempt>
Awaitable<Result<GenerateReply>> generate_once(const GenerateRequest& request, Sink& sink,
                                               Attempt& attempt, Deadline deadline) {
    const inference::BackendInfo info = attempt.replica.backend->info();
    sink.begin({.model = info.model, .backend = info.name});
    HeldSink held(sink);
    auto reply = co_await attempt.replica.backend->generate(request, held, deadline);
    attempt.first_token = held.time_to_first();
    attempt.final = held.committed() || held.sink_failed();
    if (!reply) co_return reply;
    attempt.final = true;  // what is kept goes to the caller now
    CO_TRY_VOID(co_await held.release());
    co_return reply;
}

// The same where another has begun, or will go on.
template <class Attempt>
Awaitable<Result<GenerateReply>> generate_part(Continuation& so_far, Attempt& attempt,
                                               Deadline deadline) {
    const GenerateRequest call = so_far.next_call();
    auto reply = co_await generate_once(call, so_far, attempt, deadline);
    if (!reply && so_far.may_go_on(reply.error())) attempt.final = false;
    co_return reply;
}

template <class Attempt>
Awaitable<Result<EmbedReply>> embed_once(const EmbedRequest& request, Attempt& attempt,
                                         Deadline deadline) {
    auto reply = co_await attempt.replica.backend->embed(request, deadline);
    if (reply) reply->backend = attempt.replica.backend->info().name;
    co_return reply;
}

template <class Attempt>
Awaitable<Result<inference::RerankReply>> rerank_once(const inference::RerankRequest& request,
                                                      Attempt& attempt, Deadline deadline) {
    auto reply = co_await attempt.replica.backend->rerank(request, deadline);
    if (reply) reply->backend = attempt.replica.backend->info().name;
    co_return reply;
}

template <class Attempt>
Awaitable<Result<boost::json::object>> inquire_once(const InquiryRequest& request, Attempt& attempt,
                                                    Deadline deadline) {
    co_return co_await attempt.replica.backend->inquire(request, deadline);
}

}  // namespace

// Whoever cannot go on is not why the answer is incomplete.
Awaitable<Result<GenerateReply>> Failover::Impl::run_on(const GenerateRequest& request, Sink& sink,
                                                        Work work, Deadline deadline) const {
    Continuation so_far(request, sink);
    const auto ask = [&](Attempt& attempt) { return generate_part(so_far, attempt, deadline); };
    auto reply = co_await run<GenerateReply>(std::move(work), ask, deadline);
    metrics.continuations.add(static_cast<double>(so_far.continuations()));
    if (!reply && so_far.broken()) co_return fail(*so_far.broken());
    if (reply) so_far.make_whole(reply->usage);
    co_return reply;
}

inference::BackendInfo Failover::info() const {
    return impl_->choices.front()->tier.replicas.front().backend->info();
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
    const auto ask = [&](Impl::Attempt& attempt) {
        return generate_once(request, sink, attempt, deadline);
    };
    Work work = work_of(request, impl_->chooses());
    if (impl_->continues()) co_return co_await impl_->run_on(request, sink, work, deadline);
    co_return co_await impl_->run<GenerateReply>(std::move(work), ask, deadline);
}

Awaitable<Result<EmbedReply>> Failover::embed(EmbedRequest request, Deadline deadline) {
    const auto ask = [&](Impl::Attempt& attempt) { return embed_once(request, attempt, deadline); };
    co_return co_await impl_->run<EmbedReply>(work_of(request), ask, deadline);
}

Awaitable<Result<inference::RerankReply>> Failover::rerank(inference::RerankRequest request,
                                                           Deadline deadline) {
    const auto ask = [&](Impl::Attempt& attempt) {
        return rerank_once(request, attempt, deadline);
    };
    co_return co_await impl_->run<inference::RerankReply>(work_of(request), ask, deadline);
}

Awaitable<Result<boost::json::object>> Failover::inquire(InquiryRequest request,
                                                         Deadline deadline) {
    const auto ask = [&](Impl::Attempt& attempt) {
        return inquire_once(request, attempt, deadline);
    };
    if (request.inquiry != inference::Inquiry::Describe) {
        co_return co_await impl_->run<boost::json::object>(Work{}, ask, deadline);
    }
    // Another model stands in for this one, and is not it.
    bool final = false;
    co_return co_await impl_->run_tier<boost::json::object>(*impl_->choices.front(), Work{}, ask,
                                                            deadline, final);
}

// Whoever holds the model in memory of this machine is the first.
Awaitable<Result<std::chrono::nanoseconds>> Failover::load(inference::LoadRequest request,
                                                           Deadline deadline) {
    const Tier& tier = impl_->choices.front()->tier;
    co_return co_await tier.replicas.front().backend->load(request, deadline);
}

}  // namespace hearth::replicas
