#include "backends/replicas/hedge.h"

#include <gtest/gtest.h>

#include <boost/asio/io_context.hpp>
#include <boost/json.hpp>

#include "backends/replicas/failover.h"
#include "backends/replicas/hedge_budget.h"
#include "runtime/task_group.h"
#include "testing/run.h"

// Named as other tests of this module name theirs.
namespace hearth::replicas::hedge_test {
namespace {

using namespace std::chrono_literals;
using inference::EmbedReply;
using inference::GenerateReply;
using inference::GenerateRequest;
using inference::Health;
using std::chrono::milliseconds;

constexpr milliseconds kNever = 1h;
// A call is hedged after the first, and a server that is only late answers after the second.
constexpr milliseconds kHedged{5};
constexpr milliseconds kLate{60};

boost::json::object said(std::string_view text) {
    return {{"choices", {{{"delta", {{"content", text}}}}}}};
}
const boost::json::object kRole = {{"choices", {{{"delta", {{"role", "assistant"}}}}}}};
Error broken(Code code = Code::Unavailable, std::string message = "broken") {
    return {.code = code, .message = std::move(message)};
}

// What each of its calls gets, and when.
struct Script {
    milliseconds wait{0};
    std::optional<Error> error = {};
    std::vector<boost::json::object> events = {kRole, said("yes")};
    std::string raw = {};           // relayed in place of events
    bool tells_alive = false;       // while it waits
    std::optional<Error> cut = {};  // after the events
};

class TimedReplica final : public inference::Backend {
  public:
    TimedReplica(std::string name, Script script)
        : name_(std::move(name)), script_(std::move(script)) {}

    inference::BackendInfo info() const override { return {.name = name_, .model = "m"}; }
    Awaitable<Result<EmbedReply>> embed(inference::EmbedRequest, Deadline deadline) override {
        const Call call(*this);
        CO_TRY_VOID(co_await wait(nullptr, deadline));
        co_return EmbedReply{.model = "m"};
    }
    Awaitable<Result<inference::RerankReply>> rerank(inference::RerankRequest,
                                                     Deadline deadline) override {
        const Call call(*this);
        CO_TRY_VOID(co_await wait(nullptr, deadline));
        co_return inference::RerankReply{.model = "m"};
    }
    Awaitable<Result<GenerateReply>> generate(const GenerateRequest&, inference::Sink& sink,
                                              Deadline deadline) override {
        const Call call(*this);
        CO_TRY_VOID(co_await wait(&sink, deadline));
        if (!script_.raw.empty()) {
            CO_TRY_VOID(co_await sink.relay(script_.raw, true));
            co_return GenerateReply{};
        }
        for (const auto& event : script_.events) CO_TRY_VOID(co_await sink.push(event));
        if (script_.cut) co_return fail(*script_.cut);
        co_return GenerateReply{};
    }
    Awaitable<Result<boost::json::object>> inquire(inference::InquiryRequest,
                                                   Deadline deadline) override {
        const Call call(*this);
        CO_TRY_VOID(co_await wait(nullptr, deadline));
        co_return boost::json::object{};
    }
    Awaitable<Result<std::chrono::nanoseconds>> load(inference::LoadRequest, Deadline) override {
        co_return 0ns;
    }
    Health probe() const override { return health; }

    Health health = Health::Ready;
    int calls = 0;
    int running = 0;
    int cancelled = 0;

  private:
    struct Call {
        explicit Call(TimedReplica& replica_in) : replica(replica_in) {
            ++replica.calls;
            ++replica.running;
        }
        ~Call() { --replica.running; }
        TimedReplica& replica;
    };
    Awaitable<Result<void>> wait(inference::Sink* sink, Deadline deadline) {
        const Deadline end = Deadline::after(script_.wait);
        while (sink != nullptr && script_.tells_alive && !end.passed()) {
            CO_TRY_VOID(co_await slept(end.earlier(Deadline::after(1ms))));
            CO_TRY_VOID(co_await sink->alive());
        }
        CO_TRY_VOID(co_await slept(end.earlier(deadline)));
        if (deadline.passed()) co_return fail(Code::DeadlineExceeded, "late");
        if (script_.error) co_return fail(*script_.error);
        co_return Result<void>();
    }
    Awaitable<Result<void>> slept(Deadline until) {
        auto slept = co_await sleep_until(until);
        if (!slept) ++cancelled;
        co_return slept;
    }

    const std::string name_;
    const Script script_;
};

using Server = std::shared_ptr<TimedReplica>;
Server server(std::string name, Script script = {}) {
    return std::make_shared<TimedReplica>(std::move(name), std::move(script));
}

// One that takes one thing at a time, and its time for each.
class SlowSink final : public inference::Sink {
  public:
    void begin(inference::Origin origin) override {
        EXPECT_FALSE(busy_);
        backend = origin.backend;
    }
    Awaitable<Result<void>> push(boost::json::object event) override {
        events.push_back(std::move(event));
        said_by.push_back(backend);
        return take();
    }
    Awaitable<Result<void>> alive() override {
        ++alive_calls;
        if (leaves) return leave();
        return take();
    }
    bool relays() const override { return true; }
    bool shows_at_once() const override { return shows; }
    void first_word() override { ++first_words; }
    Awaitable<Result<void>> relay(std::string_view bytes, bool) override {
        raw += bytes;
        return take();
    }

    std::string backend;
    std::vector<boost::json::object> events;
    std::vector<std::string> said_by;
    std::string raw;
    int alive_calls = 0;
    int first_words = 0;
    bool shows = true;
    int cut_short = 0;
    bool leaves = false;
    milliseconds time{0};

  private:
    Awaitable<Result<void>> leave() { co_return fail(Code::Cancelled, "left"); }
    Awaitable<Result<void>> take() {
        EXPECT_FALSE(std::exchange(busy_, true)) << "two at once";
        if (time > 0ms) {
            const auto slept = co_await sleep_until(Deadline::after(time));
            if (!slept) ++cut_short;
        }
        busy_ = false;
        co_return Result<void>();
    }
    bool busy_ = false;
};

class HedgeTest : public ::testing::Test {
  protected:
    ~HedgeTest() override {
        for (const auto& load : loads_) EXPECT_EQ(load->tokens(), 0);
    }
    Failover& over(const std::vector<Server>& servers) {
        Tier tier;
        for (const Server& one : servers) {
            tier.replicas.push_back({one, loads_.emplace_back(std::make_shared<Load>()), 1});
        }
        failover_ = std::make_unique<Failover>(std::vector{std::move(tier)}, options_,
                                               FailoverMetrics(registry_, "m"));
        return *failover_;
    }
    Result<GenerateReply> generate(Failover& failover) {
        return hearth::testing::run(io_,
                                    failover.generate(request_, sink_, Deadline::after(limit_)));
    }
    Result<GenerateReply> generate(const std::vector<Server>& servers) {
        return generate(over(servers));
    }
    double counted(std::string_view name) {
        return registry_
            .counter("hearth_upstream_" + std::string(name) + "_total", "", {{"model", "m"}})
            .value();
    }
    void expect_hedges(int hedges, int won) {
        EXPECT_EQ(counted("hedges"), hedges);
        EXPECT_EQ(counted("hedges_won"), won);
    }

    boost::asio::io_context io_;
    metrics::Registry registry_;
    FailoverOptions options_{.backoff = 1ms, .hedge_after = kHedged};
    milliseconds limit_{1'500};
    GenerateRequest request_;
    SlowSink sink_;
    std::vector<std::shared_ptr<Load>> loads_;
    std::unique_ptr<Failover> failover_;
};

TEST_F(HedgeTest, WhereTheFirstIsSilentAnotherAnswers) {
    const Server slow = server("slow", {.wait = kNever});
    const Server quick = server("quick");
    ASSERT_TRUE(generate({slow, quick}));
    EXPECT_EQ(sink_.backend, "quick");
    EXPECT_EQ(sink_.events, (std::vector{kRole, said("yes")}));
    EXPECT_EQ(slow->cancelled, 1);
    EXPECT_EQ(slow->running, 0) << "nothing of it is left when the call returns";
    expect_hedges(1, 1);
    EXPECT_EQ(counted("failovers"), 0);
}

TEST_F(HedgeTest, AQuickFirstIsNotDisturbed) {
    options_.hedge_after = 500ms;
    const Server first = server("first");
    const Server second = server("second");
    ASSERT_TRUE(generate({first, second}));
    EXPECT_EQ(sink_.backend, "first");
    EXPECT_EQ(second->calls, 0);
    expect_hedges(0, 0);
}

TEST_F(HedgeTest, TheFirstMayStillAnswerFirst) {
    const Server late = server("late", {.wait = kLate});
    const Server never = server("never", {.wait = kNever});
    ASSERT_TRUE(generate({late, never}));
    EXPECT_EQ(sink_.backend, "late");
    EXPECT_EQ(never->cancelled, 1);
    expect_hedges(1, 0);
}

TEST_F(HedgeTest, WhoSaysSomethingIsNotOvertakenByWhoEnds) {
    // The first has begun when the hedge would be made, and ends long after it.
    Script first{.wait = 0ms, .events = {}};
    for (int i = 0; i < 20; ++i) first.events.push_back(said("yes"));
    sink_.time = 2ms;
    const Server second = server("second");
    ASSERT_TRUE(generate({server("first", first), second}));
    EXPECT_EQ(sink_.events.size(), 20U);
    EXPECT_EQ(second->calls, 0);
}

TEST_F(HedgeTest, AnAnswerThatSaysNothingIsAnAnswer) {
    const Server never = server("never", {.wait = kNever});
    ASSERT_TRUE(generate({never, server("quiet", {.events = {kRole}})}));
    EXPECT_EQ(sink_.events, std::vector{kRole});
    EXPECT_EQ(sink_.backend, "quiet");
    EXPECT_EQ(never->cancelled, 1);
}

TEST_F(HedgeTest, AnUpstreamsOwnWordsPassUnchanged) {
    const Server never = server("never", {.wait = kNever});
    ASSERT_TRUE(generate({never, server("own", {.raw = "data: x\n\n"})}));
    EXPECT_EQ(sink_.raw, "data: x\n\n");
}

TEST_F(HedgeTest, WhereBothFailTheNextIsAsked) {
    const Server late = server("late", {.wait = kLate, .error = broken()});
    const Server bad = server("bad", {.error = broken()});
    const Server fine = server("fine");
    ASSERT_TRUE(generate({late, bad, fine}));
    EXPECT_EQ(sink_.backend, "fine");
    EXPECT_EQ(late->calls + bad->calls, 2) << "each once";
    EXPECT_EQ(counted("failovers"), 1);
    expect_hedges(1, 0);
}

TEST_F(HedgeTest, AHedgeIsAnAttempt) {
    options_.attempts_max = 2;
    const Server late = server("late", {.wait = kLate, .error = broken()});
    const Server bad = server("bad", {.error = broken()});
    const Server fine = server("fine");
    EXPECT_FALSE(generate({late, bad, fine}));
    EXPECT_EQ(fine->calls, 0);
    expect_hedges(1, 0);
    options_.attempts_max = 1;
    const Server alone = server("alone", {.wait = kLate});
    ASSERT_TRUE(generate({alone, fine}));
    EXPECT_EQ(fine->calls, 0);
}

TEST_F(HedgeTest, AFailureLeavesTheAnswerToTheOther) {
    const Server late = server("late", {.wait = kLate});
    ASSERT_TRUE(generate({late, server("bad", {.error = broken()})}));
    EXPECT_EQ(sink_.backend, "late");
    expect_hedges(1, 0);
}

TEST_F(HedgeTest, AFailureOfTheFirstLeavesTheAnswerToTheHedge) {
    const Server bad = server("bad", {.wait = kLate / 2, .error = broken()});
    const Server late = server("late", {.wait = 3 * kLate});
    const Server third = server("third");
    ASSERT_TRUE(generate({bad, late, third}));
    EXPECT_EQ(sink_.backend, "late");
    EXPECT_EQ(third->calls, 0);
    expect_hedges(1, 1);
}

TEST_F(HedgeTest, AFailureBeforeTheHedgeIsFollowedByTheNextAtOnce) {
    options_.hedge_after = 1s;
    limit_ = 500ms;
    ASSERT_TRUE(generate({server("bad", {.error = broken()}), server("fine")}));
    EXPECT_EQ(sink_.backend, "fine");
    expect_hedges(0, 0);
}

TEST_F(HedgeTest, TheCallersOwnFaultEndsTheCall) {
    const Server strict = server("strict", {.wait = kLate, .error = broken(Code::InvalidArgument)});
    const Server never = server("never", {.wait = kNever});
    EXPECT_EQ(generate({strict, never}).error().code, Code::InvalidArgument);
    EXPECT_EQ(never->cancelled, 1);
}

TEST_F(HedgeTest, WhatTheHedgeFindsWrongCountsWhereTheFirstFailsToo) {
    const Error wrong = broken(Code::InvalidArgument);
    const Server strict = server("strict", {.error = wrong});
    ASSERT_TRUE(generate({server("late", {.wait = kLate}), strict}));
    const Server third = server("third");
    const Server bad = server("bad", {.wait = kLate, .error = broken()});
    EXPECT_EQ(generate({bad, strict, third}).error().code, Code::InvalidArgument);
    EXPECT_EQ(third->calls, 0);
}

Awaitable<void> call_task(Failover* failover, const GenerateRequest* request, SlowSink* sink) {
    (void)co_await failover->generate(*request, *sink, Deadline::after(kNever));
}

TEST_F(HedgeTest, ACallerWhoIsCancelledTakesBothAway) {
    const Server one = server("one", {.wait = kNever});
    const Server two = server("two", {.wait = kNever});
    runtime::TaskGroup callers(io_);
    const auto id = callers.spawn("call", call_task(&over({one, two}), &request_, &sink_));
    const auto end = std::chrono::steady_clock::now() + 2s;
    while (one->running + two->running < 2 && io_.run_one_until(end) > 0) {
    }
    ASSERT_EQ(one->running + two->running, 2);
    callers.cancel(id);
    while (callers.size() > 0 && io_.run_one_until(end) > 0) {
    }
    EXPECT_EQ(callers.size(), 0U);
    EXPECT_EQ(one->running + two->running, 0);
    EXPECT_EQ(one->cancelled + two->cancelled, 2);
}

TEST_F(HedgeTest, ACallerWhoLeavesTakesBothAway) {
    sink_.leaves = true;
    const Server never = server("never", {.wait = kNever});
    // Only the hedge says that it is alive.
    const Server alive = server("alive", {.wait = kNever, .tells_alive = true});
    const Server third = server("third");
    EXPECT_EQ(generate({never, alive, third}).error().code, Code::Cancelled);
    EXPECT_EQ(never->cancelled, 1);
    EXPECT_EQ(third->calls, 0);
}

TEST_F(HedgeTest, OneAtATimeIsInTheCallersSink) {
    sink_.time = 20ms;
    const Server never = server("never", {.wait = kNever, .tells_alive = true});
    const Server late = server("late", {.wait = kLate, .tells_alive = true});
    ASSERT_TRUE(generate({never, late}));
    EXPECT_GE(sink_.alive_calls, 2);
    EXPECT_EQ(sink_.cut_short, 0) << "what the loser wrote is whole";
    EXPECT_EQ(sink_.said_by, (std::vector<std::string>{"late", "late"}));
    EXPECT_EQ(sink_.events, (std::vector{kRole, said("yes")}));
    EXPECT_EQ(never->running, 0);
}

TEST_F(HedgeTest, TheDeadlineIsOfBoth) {
    limit_ = kLate;
    const Server one = server("one", {.wait = kNever});
    const Server two = server("two", {.wait = kNever});
    EXPECT_EQ(generate({one, two}).error().code, Code::DeadlineExceeded);
    expect_hedges(1, 0);
}

TEST_F(HedgeTest, WhoIsOvertakenHasNotFailed) {
    options_.balancer = {.calls_min = 1, .slowness_least = 0ms};
    const Server slow = server("slow", {.wait = kNever});
    Failover& failover = over({slow, server("quick")});
    for (int i = 0; i < 8; ++i) ASSERT_TRUE(generate(failover));
    EXPECT_EQ(slow->calls, 4) << "it has its turn again, and no more than that";
    EXPECT_EQ(slow->cancelled, slow->calls);
}

TEST_F(HedgeTest, AFailureBesideAnAnswerIsCounted) {
    options_.balancer = {.calls_min = 1};
    const Server bad = server("bad", {.wait = kLate / 2, .error = broken()});
    Failover& failover = over({bad, server("late", {.wait = kLate})});
    for (int i = 0; i < 6; ++i) ASSERT_TRUE(generate(failover));
    EXPECT_LE(bad->calls, 2) << "it is left out";
}

TEST_F(HedgeTest, OnlyAServerThatCanAnswerAtOnceIsAskedBeside) {
    for (const Health health : {Health::Down, Health::Starting}) {
        const Server late = server("late", {.wait = kLate});
        const Server other = server("other");
        other->health = health;
        ASSERT_TRUE(generate({late, other}));
        EXPECT_EQ(late->calls + other->calls, 1);
    }
    ASSERT_TRUE(generate({server("alone", {.wait = kLate})}));
    // Two models of one server.
    const auto load = std::make_shared<Load>();
    const Server late = server("late", {.wait = kLate});
    const Server twin = server("twin", {.wait = kLate});
    Failover failover({{.replicas = {{late, load, 1}, {twin, load, 1}}}}, options_,
                      {registry_, "m"});
    ASSERT_TRUE(generate(failover));
    EXPECT_EQ(late->calls + twin->calls, 1);
    expect_hedges(0, 0);
}

TEST_F(HedgeTest, OfAnAnswerThatIsSeenAtItsEndTheFirstWordDecides) {
    sink_.shows = false;
    const Server late = server("late", {.wait = kLate});
    ASSERT_TRUE(generate({late, server("other")}));
    EXPECT_EQ(sink_.said_by, (std::vector<std::string>{"other", "other"}));
    EXPECT_EQ(sink_.first_words, 1);
    EXPECT_EQ(late->cancelled, 1);
    expect_hedges(1, 1);
}

TEST_F(HedgeTest, WithoutTheSettingNobodyIsAskedBeside) {
    options_.hedge_after = 0ms;
    const Server other = server("other");
    ASSERT_TRUE(generate({server("late", {.wait = kLate}), other}));
    EXPECT_EQ(other->calls, 0);
}

TEST_F(HedgeTest, WhereTheBudgetIsSpentNobodyIsAskedBeside) {
    Failover& failover = over({server("late", {.wait = kLate}), server("other", {.wait = kLate})});
    // Ten at once, and the one that their calls have paid for.
    for (int i = 0; i < 15; ++i) ASSERT_TRUE(generate(failover));
    EXPECT_EQ(counted("hedges"), HedgeBudget::kBurst + 1);
}

TEST_F(HedgeTest, EmbeddingsAndScoresAreHedgedAndQuestionsAreNot) {
    const Server slow = server("slow", {.wait = kNever});
    Failover& failover = over({slow, server("quick")});
    const auto reply = hearth::testing::run(
        io_, failover.embed({.model = "m", .inputs = {"x"}}, Deadline::after(limit_)));
    ASSERT_TRUE(reply);
    EXPECT_EQ(reply->backend, "quick");
    // Turns are taken: of two calls one begins at the slow one.
    for (int i = 0; i < 2; ++i) {
        const auto ranked = hearth::testing::run(
            io_, failover.rerank({.model = "m", .query = "q", .documents = {"d"}},
                                 Deadline::after(limit_)));
        ASSERT_TRUE(ranked);
        EXPECT_EQ(ranked->backend, "quick");
    }
    EXPECT_EQ(counted("hedges"), slow->calls);
    EXPECT_EQ(counted("hedges_won"), slow->calls);
    const int before = slow->calls;
    limit_ = kLate;
    for (int i = 0; i < 2; ++i) {
        (void)hearth::testing::run(io_, failover.inquire({}, Deadline::after(limit_)));
    }
    EXPECT_GE(slow->calls, before + 1);
    EXPECT_EQ(counted("hedges"), before);
}

TEST_F(HedgeTest, AnAnswerThatBreaksOffIsGoneOnWithAndNotHedgedAgain) {
    options_.continues = true;
    options_.attempts_max = 5;
    request_.body = {{"messages", boost::json::array{}}};
    const Server never = server("never", {.wait = kNever});
    const Server breaks =
        server("breaks", {.events = {kRole, said("ye")}, .cut = broken(Code::BadUpstream)});
    // The rest comes late: were it hedged, the one that never answers would be asked again.
    const Server late = server("late", {.wait = kLate, .events = {said("s")}});
    ASSERT_TRUE(generate({never, breaks, late}));
    ASSERT_EQ(sink_.events.size(), 3U);
    EXPECT_EQ(sink_.events[1], said("ye"));
    EXPECT_EQ(sink_.events[2], said("s"));
    EXPECT_EQ(sink_.backend, "breaks");
    EXPECT_EQ(counted("hedges"), 1);
    EXPECT_EQ(counted("continuations"), 1);
}

}  // namespace
}  // namespace hearth::replicas::hedge_test
