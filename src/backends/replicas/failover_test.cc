#include "backends/replicas/failover.h"

#include <gtest/gtest.h>

#include <boost/asio/io_context.hpp>
#include <boost/json.hpp>
#include <deque>

#include "testing/run.h"

namespace hearth::replicas {
namespace {

using namespace std::chrono_literals;
using inference::EmbedReply;
using inference::GenerateReply;
using inference::GenerateRequest;
using inference::Health;

boost::json::object said(std::string_view text) {
    return {{"choices", {{{"delta", {{"content", text}}}}}}};
}
const boost::json::object kRole = {{"choices", {{{"delta", {{"role", "assistant"}}}}}}};

Error broken(Code code = Code::Unavailable) { return {.code = code, .message = "broken"}; }

// What a call gets: events, and then an error or not.
struct Turn {
    std::vector<boost::json::object> events;
    std::optional<Error> error;
    std::string raw;  // relayed in place of events
};

// Gives each call the next turn; the last one for ever.
class ScriptedReplica final : public inference::Backend {
  public:
    ScriptedReplica(std::string name, std::deque<Turn> turns)
        : name_(std::move(name)), turns_(std::move(turns)) {}

    inference::BackendInfo info() const override { return {.name = name_, .model = "m"}; }
    Awaitable<Result<EmbedReply>> embed(inference::EmbedRequest, Deadline) override {
        const Turn turn = next();
        if (turn.error) co_return fail(*turn.error);
        co_return EmbedReply{.model = "m"};
    }
    Awaitable<Result<inference::RerankReply>> rerank(inference::RerankRequest, Deadline) override {
        const Turn turn = next();
        if (turn.error) co_return fail(*turn.error);
        co_return inference::RerankReply{.model = "m"};
    }
    Awaitable<Result<GenerateReply>> generate(const GenerateRequest&, inference::Sink& sink,
                                              Deadline) override {
        const Turn turn = next();
        for (const auto& event : turn.events) CO_TRY_VOID(co_await sink.push(event));
        if (!turn.raw.empty()) CO_TRY_VOID(co_await sink.relay(turn.raw, true));
        if (turn.error) co_return fail(*turn.error);
        co_return GenerateReply{};
    }
    Awaitable<Result<boost::json::object>> inquire(inference::InquiryRequest, Deadline) override {
        co_return boost::json::object{{"from", name_}};
    }
    Awaitable<Result<std::chrono::nanoseconds>> load(inference::LoadRequest, Deadline) override {
        co_return 7ns;
    }
    Health probe() const override { return health; }

    Health health = Health::Ready;
    int calls = 0;

  private:
    Turn next() {
        ++calls;
        Turn turn = turns_.front();
        if (turns_.size() > 1) turns_.pop_front();
        return turn;
    }

    const std::string name_;
    std::deque<Turn> turns_;
};

class CollectingSink final : public inference::Sink {
  public:
    void begin(inference::Origin origin) override { backend = origin.backend; }
    Awaitable<Result<void>> push(boost::json::object event) override {
        events.push_back(std::move(event));
        if (events.size() > leaves_after) co_return fail(Code::Cancelled, "left");
        co_return Result<void>();
    }
    Awaitable<Result<void>> alive() override { co_return Result<void>(); }
    bool relays() const override { return true; }
    bool shows_at_once() const override { return shows; }
    Awaitable<Result<void>> relay(std::string_view bytes, bool) override {
        raw += bytes;
        co_return Result<void>();
    }

    std::string backend;
    std::vector<boost::json::object> events;
    std::string raw;
    std::size_t leaves_after = 1'000;
    bool shows = true;
};

using Script = std::shared_ptr<ScriptedReplica>;

Script script(std::string name, std::deque<Turn> turns) {
    return std::make_shared<ScriptedReplica>(std::move(name), std::move(turns));
}

class FailoverTest : public ::testing::Test {
  protected:
    Tier tier(const std::vector<Script>& scripts, Cause cause = Cause::Failure) {
        Tier made{.replicas = {}, .cause = cause};
        for (const auto& one : scripts) made.replicas.push_back({one, std::make_shared<Load>(), 1});
        return made;
    }
    Result<GenerateReply> generate(std::vector<Tier> tiers) {
        Failover failover(std::move(tiers), options_, {registry_, "m"});
        return testing_run(failover);
    }
    Result<GenerateReply> testing_run(Failover& failover) {
        return hearth::testing::run(io_,
                                    failover.generate(request_, sink_, Deadline::after(limit_)));
    }
    double counted(const std::string& name) {
        return registry_.counter(name, "", {{"model", "m"}}).value();
    }

    boost::asio::io_context io_;
    metrics::Registry registry_;
    FailoverOptions options_{.backoff = 1ms};
    std::chrono::milliseconds limit_{1'500};
    GenerateRequest request_;
    CollectingSink sink_;
    const Turn good_{.events = {kRole, said("yes")}};
};

TEST_F(FailoverTest, AFailureBeforeTheFirstWordGoesToTheNext) {
    const Script bad = script("bad", {{.events = {kRole}, .error = broken()}});
    const Script fine = script("fine", {good_});
    ASSERT_TRUE(generate({tier({bad, fine})}));
    ASSERT_EQ(sink_.events.size(), 2U) << "what the first began is not in the answer";
    EXPECT_EQ(sink_.events[1], said("yes"));
    EXPECT_EQ(sink_.backend, "fine");
    EXPECT_EQ(counted("hearth_upstream_failovers_total"), 1);
}

TEST_F(FailoverTest, AFailureAfterTheFirstWordEndsTheAnswer) {
    const Script bad = script("bad", {{.events = {kRole, said("ye")}, .error = broken()}});
    const Script fine = script("fine", {good_});
    const auto reply = generate({tier({bad, fine})});
    ASSERT_FALSE(reply);
    EXPECT_EQ(reply.error().message, "broken");
    EXPECT_EQ(sink_.events.size(), 2U);
    EXPECT_EQ(fine->calls, 0);
}

TEST_F(FailoverTest, AWholeAnswerThatBreaksOffComesWholeFromAnother) {
    sink_.shows = false;
    const Script bad = script("bad", {{.events = {kRole, said("ye")}, .error = broken()}});
    const Script fine = script("fine", {good_});
    ASSERT_TRUE(generate({tier({bad, fine})}));
    EXPECT_EQ(sink_.events, (std::vector{kRole, said("yes")})) << "of one server only";
    EXPECT_EQ(sink_.backend, "fine");
    EXPECT_EQ(counted("hearth_upstream_failovers_total"), 1);
    sink_.events.clear();
    options_.continues = true;
    request_.body = {{"messages", boost::json::array{}}, {"grammar", "root ::= \"a\""}};
    const Script again = script("again", {{.events = {said("ye")}, .error = broken()}});
    ASSERT_TRUE(generate({tier({again, fine})}));
    EXPECT_EQ(sink_.events, (std::vector{kRole, said("yes")})) << "an answer of a form as well";
}

TEST_F(FailoverTest, WhereAnswersAreContinuedAnotherGivesTheRest) {
    options_.continues = true;
    request_.body = {{"messages", boost::json::array{}}};
    const Script bad = script("bad", {{.events = {kRole, said("ye")}, .error = broken()}});
    const Script fine = script("fine", {{.events = {kRole, said("s")}}});
    ASSERT_TRUE(generate({tier({bad, fine})}));
    EXPECT_EQ(sink_.events, (std::vector{kRole, said("ye"), said("s")}));
    EXPECT_EQ(sink_.backend, "bad") << "who began is who answers";
    EXPECT_EQ(counted("hearth_upstream_continuations_total"), 1);
    sink_.events.clear();
    const Script refuses =
        script("refuses", {{.events = {}, .error = broken(Code::InvalidArgument)}});
    Error first = broken(Code::BadUpstream);
    first.message = "the first";
    const Script breaks = script("breaks", {{.events = {said("ye")}, .error = first}});
    EXPECT_EQ(generate({tier({breaks, refuses})}).error().message, "the first");
    sink_.events.clear();
    const Script alone = script("alone", {{.events = {said("ye")}, .error = broken()}});
    EXPECT_FALSE(generate({tier({alone})}));
    EXPECT_EQ(alone->calls, 1) << "there is no other";
}

TEST_F(FailoverTest, AnAnswerThatSaysNothingIsAnAnswer) {
    const Script quiet = script("quiet", {{.events = {kRole}}});
    ASSERT_TRUE(generate({tier({quiet})}));
    EXPECT_EQ(sink_.events, std::vector{kRole});
}

TEST_F(FailoverTest, AnUpstreamsOwnWordsPassUnchanged) {
    const Script own = script("own", {{.raw = "data: x\n\n"}});
    ASSERT_TRUE(generate({tier({own})}));
    EXPECT_EQ(sink_.raw, "data: x\n\n");
}

TEST_F(FailoverTest, TheCallersOwnFaultIsNotTriedElsewhere) {
    for (const Code code : {Code::InvalidArgument, Code::TooLarge, Code::Forbidden}) {
        const Script bad = script("bad", {{.events = {}, .error = broken(code)}});
        const Script fine = script("fine", {good_});
        EXPECT_EQ(generate({tier({bad, fine})}).error().code, code);
        EXPECT_EQ(fine->calls, 0);
    }
}

TEST_F(FailoverTest, AServerWhoseTimeIsUpIsFollowedByAnotherAndNotAskedAgain) {
    const Script slow = script("slow", {{.events = {}, .error = broken(Code::DeadlineExceeded)}});
    const Script fine = script("fine", {good_});
    ASSERT_TRUE(generate({tier({slow, fine})}));
    EXPECT_EQ(sink_.backend, "fine");
    EXPECT_EQ(generate({tier({slow})}).error().code, Code::DeadlineExceeded);
    EXPECT_EQ(slow->calls, 2) << "once in each call";
}

TEST_F(FailoverTest, AServerThatWasSilentForTooLongIsFollowedByAnotherAndNotAskedAgain) {
    const std::pair<const char*, Code> silences[] = {{"header_timeout", Code::Unavailable},
                                                     {"first_byte_timeout", Code::BadUpstream},
                                                     {"first_token_timeout", Code::BadUpstream}};
    for (const auto& [reason, code] : silences) {
        Error silent = broken(code);
        silent.reason = reason;
        const Script slow = script("slow", {{.events = {}, .error = silent}});
        EXPECT_EQ(generate({tier({slow})}).error().reason, reason);
        EXPECT_EQ(slow->calls, 1) << reason;
        const Script other = script("other", {{.events = {}, .error = silent}});
        EXPECT_FALSE(generate({tier({slow, other})}));
        EXPECT_EQ(slow->calls, 2) << reason;
        EXPECT_EQ(other->calls, 1) << reason;
    }
}

TEST_F(FailoverTest, ACallerWhoLeavesIsNotServedByAnother) {
    sink_.leaves_after = 0;
    const Script first = script("first", {good_});
    const Script second = script("second", {good_});
    EXPECT_EQ(generate({tier({first, second})}).error().code, Code::Cancelled);
    EXPECT_EQ(first->calls + second->calls, 1);
}

TEST_F(FailoverTest, TheOnlyServerIsAskedAgain) {
    const Script shaky = script("shaky", {{.events = {}, .error = broken()}, good_});
    ASSERT_TRUE(generate({tier({shaky})}));
    EXPECT_EQ(shaky->calls, 2);
    EXPECT_EQ(counted("hearth_upstream_retries_total"), 1);
}

TEST_F(FailoverTest, AttemptsHaveABound) {
    const Script bad = script("bad", {{.events = {}, .error = broken(Code::BadUpstream)}});
    EXPECT_EQ(generate({tier({bad})}).error().code, Code::BadUpstream);
    EXPECT_EQ(bad->calls, 3);
}

TEST_F(FailoverTest, WaitsAsLongAsTheServerAsks) {
    Error limited = broken(Code::RateLimited);
    limited.retry_after = 120ms;
    const Script busy = script("busy", {{.events = {}, .error = limited}, good_});
    const auto begun = std::chrono::steady_clock::now();
    ASSERT_TRUE(generate({tier({busy})}));
    EXPECT_GE(std::chrono::steady_clock::now() - begun, 120ms);
}

TEST_F(FailoverTest, DoesNotWaitLongerThanItsPatienceOrTheDeadline) {
    Error limited = broken(Code::RateLimited);
    limited.retry_after = 60s;
    const Script busy = script("busy", {{.events = {}, .error = limited}});
    const auto reply = generate({tier({busy})});
    EXPECT_EQ(reply.error().retry_after, std::chrono::milliseconds(60s)) << "the caller is told";
    EXPECT_EQ(busy->calls, 1);
}

TEST_F(FailoverTest, WhatIsDownIsNotAskedWhileAnotherIsUp) {
    const Script down = script("down", {good_});
    down->health = Health::Down;
    const Script up = script("up", {good_});
    Failover failover({tier({down, up})}, options_, {registry_, "m"});
    for (int i = 0; i < 10; ++i) ASSERT_TRUE(testing_run(failover));
    EXPECT_EQ(down->calls, 0);
    EXPECT_EQ(failover.probe(), Health::Ready);
    up->health = Health::Down;
    EXPECT_EQ(failover.probe(), Health::Down);
    ASSERT_TRUE(testing_run(failover)) << "where all are down one is asked";
}

TEST_F(FailoverTest, AnotherModelStandsInForOneThatFails) {
    const Script bad = script("bad", {{.events = {}, .error = broken()}});
    const Script other = script("other", {good_});
    ASSERT_TRUE(generate({tier({bad}), tier({other})}));
    EXPECT_EQ(sink_.backend, "other");
    EXPECT_EQ(counted("hearth_model_fallbacks_total"), 1);
}

TEST_F(FailoverTest, ALargerModelStandsInForAPromptThatDoesNotFit) {
    Error full{
        .code = Code::InvalidArgument, .message = "full", .reason = "context_length_exceeded"};
    const Script small = script("small", {{.events = {}, .error = full}});
    const Script other = script("other", {good_});
    const Script large = script("large", {good_});
    ASSERT_TRUE(generate({tier({small}), tier({other}), tier({large}, Cause::Context)}));
    EXPECT_EQ(other->calls, 0);
    EXPECT_EQ(sink_.backend, "large");
    const Script bad = script("bad", {{.events = {}, .error = broken()}});
    EXPECT_FALSE(generate({tier({bad}), tier({large}, Cause::Context)}));
}

TEST_F(FailoverTest, TheLoadOfAServerIsCountedWhileItWorks) {
    const auto load = std::make_shared<Load>();
    class Looking final : public inference::Sink {
      public:
        explicit Looking(const Load& load) : load_(load) {}
        void begin(inference::Origin) override {}
        Awaitable<Result<void>> push(boost::json::object) override {
            seen = load_.tokens();
            co_return Result<void>();
        }
        Awaitable<Result<void>> alive() override { co_return Result<void>(); }
        std::int64_t seen = 0;

      private:
        const Load& load_;
    } looking(*load);
    request_.body = {{"prompt", "12345678"}, {"max_tokens", 5}};
    Failover failover({{.replicas = {{script("one", {good_}), load, 1}}}}, options_,
                      {registry_, "m"});
    ASSERT_TRUE(
        hearth::testing::run(io_, failover.generate(request_, looking, Deadline::after(limit_))));
    EXPECT_EQ(looking.seen, 7);
    EXPECT_EQ(load->tokens(), 0);
}

TEST_F(FailoverTest, EmbeddingsAndQuestionsGoOnToo) {
    const Script bad = script("bad", {{.events = {}, .error = broken()}});
    const Script fine = script("fine", {good_});
    Failover failover({tier({bad, fine})}, options_, {registry_, "m"});
    const auto reply = hearth::testing::run(
        io_, failover.embed({.model = "m", .inputs = {"x"}}, Deadline::after(limit_)));
    ASSERT_TRUE(reply);
    EXPECT_EQ(reply->backend, "fine");
    const auto ranked = hearth::testing::run(
        io_,
        failover.rerank({.model = "m", .query = "q", .documents = {"d"}}, Deadline::after(limit_)));
    ASSERT_TRUE(ranked);
    EXPECT_EQ(ranked->backend, "fine");
    EXPECT_TRUE(hearth::testing::run(io_, failover.inquire({}, Deadline::after(limit_))));
    EXPECT_EQ(hearth::testing::run(io_, failover.load({}, Deadline::after(limit_))).value(), 7ns);
}

// A tier of the same server's models, in any order.
Tier tier_of(std::initializer_list<Replica> replicas) { return {.replicas = replicas}; }

TEST_F(FailoverTest, IsMadeOfTheSameServersModelsWeightsAndOptions) {
    const Replica a{script("a", {good_}), std::make_shared<Load>(), 1};
    const Replica b{script("b", {good_}), std::make_shared<Load>(), 1};
    const Failover failover({tier_of({a, b})}, options_, {registry_, "m"});
    // Another object for the same model of the same server.
    const Replica a_again{script("a", {good_}), a.load, 1};
    const auto is_of = [&](const Tier& tier) { return failover.is_made_of({{tier}}, options_); };
    EXPECT_TRUE(is_of(tier_of({a_again, b})));
    EXPECT_FALSE(is_of(tier_of({b, a})));
    EXPECT_FALSE(is_of(tier_of({a})));
    EXPECT_FALSE(is_of(tier_of({a, b, b})));
    EXPECT_FALSE(is_of(tier_of({a, {b.backend, std::make_shared<Load>(), 1}})));
    EXPECT_FALSE(is_of(tier_of({a, {b.backend, b.load, 2}})));
    EXPECT_FALSE(failover.is_made_of({{tier_of({a, b}), tier_of({b})}}, options_));
    FailoverOptions other = options_;
    other.balancer.eject_time = 7s;
    EXPECT_FALSE(failover.is_made_of({{tier_of({a, b})}}, other));
}

TEST_F(FailoverTest, BeginsWithWhatAnEarlierOneKnewOfItsServers) {
    const auto bad = script("b", {{.error = broken()}});
    const auto good = script("a", {good_});
    const Replica a{good, std::make_shared<Load>(), 1};
    const Replica b{bad, std::make_shared<Load>(), 1};
    Failover earlier({tier_of({a, b})}, options_, {registry_, "m"});
    for (int i = 0; i < 40; ++i) EXPECT_TRUE(testing_run(earlier));
    const int calls = bad->calls;
    EXPECT_GE(calls, 10);
    const Replica c{script("c", {good_}), std::make_shared<Load>(), 1};
    Failover later({tier_of({c, b, a})}, options_, {registry_, "m"}, &earlier);
    for (int i = 0; i < 40; ++i) EXPECT_TRUE(testing_run(later));
    EXPECT_EQ(bad->calls, calls) << "it is still left out";
    // Of a server that is none of its, it knew nothing.
    Failover another({tier_of({c, {bad, std::make_shared<Load>(), 1}})}, options_, {registry_, "m"},
                     &later);
    for (int i = 0; i < 5; ++i) EXPECT_TRUE(testing_run(another));
    EXPECT_GT(bad->calls, calls);
}

}  // namespace
}  // namespace hearth::replicas
