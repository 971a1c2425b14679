#include "backends/worker/admission.h"

#include <gtest/gtest.h>

#include <boost/asio/io_context.hpp>
#include <optional>

#include "testing/run.h"
#include "testing/start.h"

namespace hearth::worker {
namespace {

using namespace std::chrono_literals;
using Lease = Admission::Lease;
using Clock = Admission::Clock;

Awaitable<void> enter_task(Admission* door, Fingerprint request,
                           std::optional<Result<Lease>>* into) {
    into->emplace(co_await door->lease(request, std::nullopt, Deadline::after(10s)));
}

class AdmissionTest : public ::testing::Test {
  protected:
    AdmissionTest() { make({.model = "m"}); }

    void make(AdmissionOptions options) {
        door_ = std::make_unique<Admission>(std::move(options), [this] { ++pokes_; });
    }
    Result<Lease> enter(const char* request, Deadline deadline = Deadline::after(0s),
                        std::optional<std::chrono::milliseconds> keep_alive = std::nullopt) {
        return testing::run(io_, door_->lease(fingerprint_of(request), keep_alive, deadline));
    }
    // A call that waits at the door until something lets it in.
    void begin(const char* request, std::optional<Result<Lease>>& into) {
        testing::start(io_, enter_task(door_.get(), fingerprint_of(request), &into));
        settle();
    }
    void settle() {
        io_.restart();
        while (io_.poll_one() > 0) {
        }
    }
    void die(const char* request) {
        auto lease = enter(request);
        ASSERT_TRUE(lease);
        door_->bury_dead(generation_, std::nullopt);
        serve_next();
    }
    void serve_next() {
        ++generation_;
        door_->serve(generation_, "unix:x");
    }

    boost::asio::io_context io_;
    int pokes_ = 0;
    std::uint64_t generation_ = 0;
    std::unique_ptr<Admission> door_;
};

TEST_F(AdmissionTest, AsksForAProcessWhenTheFirstCallComesAndLetsItInWhenReady) {
    EXPECT_FALSE(door_->wants_process());
    std::optional<Result<Lease>> call;
    begin("a", call);
    EXPECT_TRUE(door_->wants_process());
    EXPECT_EQ(pokes_, 1);
    EXPECT_FALSE(call);
    serve_next();
    settle();
    ASSERT_TRUE(call && *call);
    EXPECT_EQ((*call)->generation(), 1U);
    EXPECT_EQ((*call)->address(), "unix:x");
    (*call)->answered();
    EXPECT_EQ(door_->snapshot().calls, 0U);
}

TEST_F(AdmissionTest, SaysThatTheModelIsStillLoadingAtTheDeadline) {
    const auto call = enter("a");
    ASSERT_FALSE(call);
    EXPECT_EQ(call.error().code, Code::Unavailable);
    EXPECT_EQ(call.error().reason, "model_loading");
}

TEST_F(AdmissionTest, BoundsTheCallsThatWait) {
    make({.model = "m", .waiting_max = 2});
    std::optional<Result<Lease>> calls[3];
    for (auto& call : calls) begin("a", call);
    EXPECT_FALSE(calls[0] || calls[1]);
    ASSERT_TRUE(calls[2]);
    EXPECT_EQ(calls[2]->error().code, Code::Overloaded);
    door_->close();
    settle();
    EXPECT_EQ(calls[0]->error().code, Code::Unavailable);
}

TEST_F(AdmissionTest, RefusesARequestThatWasInsideTwoDeaths) {
    serve_next();
    die("bad");
    EXPECT_TRUE(door_->check_poison(fingerprint_of("bad")));
    die("bad");
    const auto third = enter("bad");
    ASSERT_FALSE(third);
    EXPECT_EQ(third.error().code, Code::InvalidArgument);
    EXPECT_EQ(third.error().reason, "poison_request");
    EXPECT_FALSE(door_->check_poison(fingerprint_of("bad")));
    EXPECT_TRUE(enter("good"));
}

TEST_F(AdmissionTest, LetsASuspectInAlone) {
    serve_next();
    die("suspect");
    auto inside = enter("other");
    ASSERT_TRUE(inside);
    std::optional<Result<Lease>> suspect;
    begin("suspect", suspect);
    EXPECT_FALSE(suspect) << "somebody is inside";
    std::optional<Result<Lease>> later;
    begin("later", later);
    EXPECT_FALSE(later) << "a suspect waits";
    inside->answered();
    settle();
    ASSERT_TRUE(suspect && *suspect);
    EXPECT_FALSE(later) << "the suspect is inside";
    (*suspect)->answered();
    settle();
    EXPECT_TRUE(later && *later);
}

TEST_F(AdmissionTest, ForgetsTheSuspicionOfWhoComesOutAlive) {
    serve_next();
    die("suspect");
    enter("suspect")->answered();
    die("suspect");
    EXPECT_TRUE(enter("suspect"));
}

TEST_F(AdmissionTest, LetsOthersInWhenAWaitingSuspectLeaves) {
    serve_next();
    die("suspect");
    auto inside = enter("other");
    EXPECT_FALSE(enter("suspect", Deadline::after(1ms)));
    EXPECT_TRUE(enter("later"));
}

// Two requests stand beside each other at the first death; alone, each shows what it is.
TEST_F(AdmissionTest, TellsTheGuiltyFromWhoStoodBeside) {
    serve_next();
    auto guilty = enter("guilty");
    auto innocent = enter("innocent");
    ASSERT_TRUE(guilty && innocent);
    door_->bury_dead(generation_, std::nullopt);
    serve_next();
    enter("innocent")->answered();
    die("guilty");
    EXPECT_FALSE(enter("guilty"));
    EXPECT_TRUE(enter("innocent"));
}

TEST_F(AdmissionTest, BlamesForAStuckTaskOnlyWhoEnteredBeforeItBegan) {
    serve_next();
    auto before = enter("before");
    const auto begun = Clock::now();
    while (Clock::now() <= begun) {
    }
    auto after = enter("after");
    door_->bury_dead(generation_, begun);
    serve_next();
    auto again = enter("after");
    EXPECT_TRUE(again);
    EXPECT_FALSE(enter("before")) << "a suspect waits while another is inside";
    again->answered();
    EXPECT_TRUE(enter("before"));
}

TEST_F(AdmissionTest, BlamesACallWhoseCallerLeftUntilItIsSurelyOut) {
    serve_next();
    {
        auto lease = enter("left");
    }
    door_->heard(Clock::now() - 1h);  // what runs began before the caller left
    door_->bury_dead(generation_, std::nullopt);
    serve_next();
    auto other = enter("other");
    EXPECT_FALSE(enter("left")) << "a suspect";
    other->answered();
    {
        auto lease = enter("left");
    }
    door_->heard(std::nullopt);  // idle
    door_->bury_dead(generation_, std::nullopt);
    serve_next();
    EXPECT_TRUE(door_->check_poison(fingerprint_of("left")));
}

TEST_F(AdmissionTest, RefusesWithTheReasonOfARefusedFolderThenTriesAgain) {
    make({.model = "m", .refused_time = 20ms});
    door_->refuse({.code = Code::Unavailable,
                   .message = "config.json is cut short",
                   .reason = "model_refused"});
    const auto refused = enter("a");
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().message, "config.json is cut short");
    EXPECT_EQ(refused.error().reason, "model_refused");
    EXPECT_FALSE(door_->wants_process());
    const auto later = Clock::now() + 25ms;
    while (Clock::now() < later) {
    }
    EXPECT_EQ(enter("a").error().reason, "model_loading");
    EXPECT_TRUE(door_->wants_process());
}

TEST_F(AdmissionTest, RefusesAtOnceWhileTheWorkerKeepsFailing) {
    door_->want();
    door_->give_up_waiting("out of memory");
    const auto call = enter("a", Deadline::after(10s));
    ASSERT_FALSE(call);
    EXPECT_EQ(call.error().reason, "worker_failing");
    EXPECT_NE(call.error().message.find("out of memory"), std::string::npos);
    serve_next();
    EXPECT_TRUE(enter("a"));
}

TEST_F(AdmissionTest, KnowsWhenAnIdleProcessIsDue) {
    serve_next();
    EXPECT_FALSE(door_->due()) << "by default never";
    auto lease = enter("a", Deadline::after(0s), 1h);
    EXPECT_FALSE(door_->due()) << "somebody is inside";
    lease->answered();
    ASSERT_TRUE(door_->due());
    EXPECT_GT(*door_->due(), Clock::now() + 59min);
    EXPECT_FALSE(door_->begin_retirement());
    enter("a", Deadline::after(0s), -1ms)->answered();
    EXPECT_FALSE(door_->due()) << "for ever";
    pokes_ = 0;
    enter("a", Deadline::after(0s), 0ms)->answered();
    EXPECT_EQ(pokes_, 1);
    EXPECT_TRUE(door_->begin_retirement());
    EXPECT_FALSE(door_->wants_process());
    EXPECT_FALSE(enter("b"));
    EXPECT_TRUE(door_->wants_process()) << "the next call wants the next process";
}

TEST_F(AdmissionTest, UnloadsOnRequestOnceNobodyIsInside) {
    serve_next();
    auto lease = enter("a");
    door_->retire();
    EXPECT_FALSE(door_->begin_retirement());
    lease->answered();
    EXPECT_TRUE(door_->begin_retirement());
}

TEST_F(AdmissionTest, LetsNobodyInAfterABrokenConnectionUntilTheProcessIsHeard) {
    serve_next();
    pokes_ = 0;
    enter("a")->broken();
    EXPECT_EQ(pokes_, 1);
    EXPECT_TRUE(door_->doubted());
    EXPECT_FALSE(enter("b"));
    door_->heard(std::nullopt);
    EXPECT_TRUE(enter("b"));
}

TEST_F(AdmissionTest, LetsNobodyIntoADeadProcess) {
    serve_next();
    door_->bury_dead(generation_, std::nullopt);
    EXPECT_FALSE(enter("a"));
}

TEST_F(AdmissionTest, TellsWhenAGenerationHasEnded) {
    serve_next();
    EXPECT_FALSE(testing::run(io_, door_->ended(1, Deadline::after(0s))));
    door_->bury_dead(1, std::nullopt);
    EXPECT_TRUE(testing::run(io_, door_->ended(1, Deadline::after(0s))));
}

TEST_F(AdmissionTest, LetsInAsManyCallsAsTheBoundAndTheNextWhenOneLeaves) {
    make({.model = "m", .calls_max = 2});
    serve_next();
    auto first = enter("a");
    auto second = enter("b");
    ASSERT_TRUE(first && second);
    std::optional<Result<Lease>> third;
    begin("c", third);
    EXPECT_FALSE(third);
    EXPECT_EQ(door_->snapshot().calls, 2U);
    first->answered();
    settle();
    ASSERT_TRUE(third && *third);
    EXPECT_EQ(door_->snapshot().calls, 2U);
    const auto late = enter("d");
    ASSERT_FALSE(late);
    EXPECT_EQ(late.error().code, Code::DeadlineExceeded);
}

TEST_F(AdmissionTest, LetsNobodyOvertakeWhoWaits) {
    make({.model = "m", .calls_max = 1});
    serve_next();
    auto inside = enter("a");
    std::optional<Result<Lease>> waits;
    begin("b", waits);
    inside->answered();  // "b" has been woken, and has not run yet
    std::optional<Result<Lease>> comes;
    testing::start(io_, enter_task(door_.get(), fingerprint_of("c"), &comes));
    settle();
    ASSERT_TRUE(waits && *waits);
    EXPECT_FALSE(comes);
    (*waits)->answered();
    settle();
    EXPECT_TRUE(comes && *comes);
}

TEST_F(AdmissionTest, LetsWhoComesIntoAPlaceThatNobodyWaitsFor) {
    make({.model = "m", .calls_max = 2});
    serve_next();
    auto first = enter("a");
    auto second = enter("b");
    std::optional<Result<Lease>> waits;
    begin("c", waits);
    first->answered();
    second->answered();
    EXPECT_TRUE(enter("d")) << "two places, one waits";
    settle();
    EXPECT_TRUE(waits && *waits);
}

Awaitable<void> give_up_task(Admission* door, bool* gave_up) {
    auto lease = co_await with_deadline(
        Deadline::after(20ms),
        door->lease(fingerprint_of("impatient"), std::nullopt, Deadline::after(10s)));
    *gave_up = !lease;
}

// Cancelled while it waits: those who stood back for it are woken.
TEST_F(AdmissionTest, WakesTheOthersWhenOneWhoWaitsIsCancelled) {
    make({.model = "m", .calls_max = 1});
    bool gave_up = false;
    testing::start(io_, give_up_task(door_.get(), &gave_up));
    settle();
    std::optional<Result<Lease>> other;
    begin("b", other);
    const auto limit = Clock::now() + 2s;
    while (!gave_up && Clock::now() < limit) io_.run_one_for(5ms);
    EXPECT_TRUE(gave_up);
    serve_next();
    settle();
    EXPECT_TRUE(other && *other);
}

TEST_F(AdmissionTest, DrainsAndGivesThoseWhoWaitTheNextProcess) {
    serve_next();
    auto inside = enter("a");
    door_->retire(true);
    std::optional<Result<Lease>> waits;
    begin("b", waits);
    EXPECT_FALSE(waits) << "nobody enters";
    EXPECT_FALSE(door_->begin_retirement()) << "somebody is inside";
    door_->retire();
    inside->answered();
    settle();
    EXPECT_FALSE(waits) << "a plain request to leave does not open the door again";
    EXPECT_TRUE(door_->begin_retirement());
    door_->bury_retired(generation_);
    EXPECT_TRUE(door_->wants_process());
    serve_next();
    settle();
    ASSERT_TRUE(waits && *waits);
    EXPECT_EQ((*waits)->generation(), generation_);
}

TEST_F(AdmissionTest, KnowsSinceWhenNobodyNeedsIt) {
    EXPECT_FALSE(door_->idle_since());
    EXPECT_FALSE(door_->ready_since());
    const auto before = Clock::now();
    serve_next();
    ASSERT_TRUE(door_->idle_since());
    EXPECT_GE(*door_->idle_since(), before);
    const auto ready = door_->ready_since();
    ASSERT_TRUE(ready);
    auto inside = enter("a");
    EXPECT_FALSE(door_->idle_since());
    EXPECT_EQ(door_->ready_since(), ready);
    inside->answered();
    EXPECT_GE(*door_->idle_since(), *ready);
    door_->retire();
    EXPECT_TRUE(door_->begin_retirement());
    EXPECT_FALSE(door_->idle_since());
    EXPECT_FALSE(door_->ready_since());
}

TEST_F(AdmissionTest, KnowsWhetherAnybodyStillWantsAProcess) {
    EXPECT_TRUE(door_->unwanted());
    std::optional<Result<Lease>> call;
    begin("a", call);
    EXPECT_FALSE(door_->unwanted());
    door_->close();
    settle();
    EXPECT_TRUE(door_->unwanted());
}

TEST_F(AdmissionTest, WithdrawsAProcessThatNobodyWantsAndStartsForTheNextCall) {
    EXPECT_EQ(enter("a").error().reason, "model_loading");
    door_->give_up_waiting("it crashed at start");
    EXPECT_TRUE(door_->wants_process());
    door_->withdraw();
    EXPECT_FALSE(door_->wants_process());
    EXPECT_EQ(door_->snapshot().state, WorkerState::Unloaded);
    EXPECT_EQ(enter("b").error().reason, "model_loading");
    EXPECT_TRUE(door_->wants_process());
    door_->want();
    door_->withdraw();
    EXPECT_TRUE(door_->wants_process()) << "it was asked for by name";
}

TEST_F(AdmissionTest, RefusesOnlyAsLongAsTheErrorSaysToWait) {
    make({.model = "m", .refused_time = 1h});
    door_->want();
    door_->give_up_waiting("it crashed at start");
    door_->refuse({.code = Code::Unavailable,
                   .message = "no room",
                   .reason = "no_memory",
                   .retry_after = 20ms});
    const auto refused = enter("a");
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().reason, "no_memory");
    EXPECT_EQ(refused.error().retry_after, 20ms);
    EXPECT_EQ(door_->snapshot().message, "no room");
    const auto later = Clock::now() + 25ms;
    while (Clock::now() < later) {
    }
    EXPECT_EQ(enter("a").error().reason, "model_loading");
    EXPECT_TRUE(door_->wants_process());
    door_->refuse({.code = Code::TooLarge, .message = "too large"});
    EXPECT_EQ(enter("a").error().code, Code::TooLarge);
    EXPECT_EQ(enter("a", Deadline::after(10s)).error().code, Code::TooLarge);
}

}  // namespace
}  // namespace hearth::worker
