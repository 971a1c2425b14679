#include "backends/worker/worker_backend.h"

#include <gtest/gtest.h>
#include <signal.h>

#include <boost/asio/io_context.hpp>
#include <future>

#include "base/format.h"
#include "runtime/child_process.h"
#include "runtime/shard.h"
#include "testing/processes.h"
#include "testing/run.h"
#include "testing/start.h"
#include "testing/worker_folder.h"

namespace hearth::worker {
namespace {

using namespace std::chrono_literals;
using inference::EmbedReply;
using inference::EmbedRequest;
using testing::eventually;
using Answer = std::future<Result<EmbedReply>>;

// A gateway of two shards in front of one scripted worker (src/testing/scripted_worker.cc).
class WorkerBackendTest : public ::testing::Test {
  protected:
    WorkerBackendTest() {
        options_.program = HEARTH_SCRIPTED_WORKER;
        options_.model = "scripted";
        options_.files = folder_.path();
        options_.heartbeat_interval = 20ms;
        options_.backoff_first = 10ms;
        options_.backoff_max = 100ms;
        shards_.start();
    }
    ~WorkerBackendTest() override {
        if (supervisor_) supervisor_->stop();
        shards_.stop();
    }

    void start() {
        const WorkerMetrics metrics(registry_, "scripted");
        supervisor_ = std::make_unique<WorkerSupervisor>(shards_, 0, options_, metrics);
        backend_ = std::make_unique<WorkerBackend>(shards_, *supervisor_, metrics);
        supervisor_->start();
    }
    Answer send(EmbedRequest request, std::size_t shard = 0, std::chrono::milliseconds time = 30s) {
        return testing::start(shards_.io(shard),
                              backend_->embed(std::move(request), Deadline::after(time)));
    }
    Answer send_text(std::string text, std::size_t shard = 0,
                     std::chrono::milliseconds time = 30s) {
        return send({.inputs = {std::move(text)}}, shard, time);
    }
    Result<EmbedReply> wait(Answer answer) {
        if (answer.wait_for(40s) != std::future_status::ready) std::abort();
        return answer.get();
    }
    Result<EmbedReply> embed(std::string text) { return wait(send_text(std::move(text))); }
    // Calls inside the worker, held there until the folder has "open".
    std::vector<Answer> hold(std::size_t count) {
        std::vector<Answer> answers;
        for (std::size_t i = 0; i < count; ++i) {
            answers.push_back(send_text(format("gate {}", i), i % 2));
        }
        EXPECT_TRUE(eventually([&] { return supervisor_->status().calls == count; }));
        return answers;
    }
    bool becomes(WorkerState state) {
        return eventually([&] { return supervisor_->status().state == state; });
    }

    testing::WorkerFolder folder_;
    WorkerOptions options_;
    metrics::Registry registry_;
    runtime::Shards shards_{2};
    std::unique_ptr<WorkerSupervisor> supervisor_;
    std::unique_ptr<WorkerBackend> backend_;
};

TEST_F(WorkerBackendTest, StartsTheWorkerWithTheFirstCall) {
    start();
    EXPECT_EQ(supervisor_->status().state, WorkerState::Unloaded);
    EXPECT_EQ(backend_->info().name, "worker/scripted");
    const auto reply = embed("one two three");
    ASSERT_TRUE(reply) << reply.error().message;
    EXPECT_EQ(reply->model, "scripted");
    EXPECT_EQ(reply->dimension, 8U);
    EXPECT_EQ(reply->vectors.size(), 8U);
    EXPECT_EQ(reply->tokens, (std::vector<std::uint32_t>{5}));
    EXPECT_GT(reply->load_time.count(), 0);
    const WorkerStatus status = supervisor_->status();
    EXPECT_EQ(status.state, WorkerState::Ready);
    EXPECT_EQ(folder_.starts(), (std::vector<int>{status.pid}));
    EXPECT_GT(status.resident_bytes, 100'000U);
    EXPECT_EQ(status.restarts, 0U);
    EXPECT_FALSE(status.expires_at);
    EXPECT_EQ(backend_->probe(), inference::Health::Ready);
}

TEST_F(WorkerBackendTest, GivesTheSameVectorFromEveryShard) {
    options_.eager = true;
    start();
    EXPECT_TRUE(becomes(WorkerState::Ready));
    const auto first = wait(send_text("same words", 0));
    const auto second = wait(send_text("same words", 1));
    ASSERT_TRUE(first && second);
    EXPECT_EQ(first->vectors, second->vectors);
}

TEST_F(WorkerBackendTest, PassesTheWorkersOwnErrorsOn) {
    start();
    std::string long_text;
    for (int i = 0; i < 100; ++i) long_text += "word ";
    const auto over = wait(send({.inputs = {"fine", long_text}}));
    ASSERT_FALSE(over);
    EXPECT_EQ(over.error().code, Code::InvalidArgument);
    EXPECT_EQ(over.error().reason, "context_length_exceeded");
    EXPECT_EQ(over.error().param, "input[1]");
    EXPECT_EQ(embed("please fail").error().code, Code::Internal);
    EXPECT_TRUE(embed("fine"));
}

TEST_F(WorkerBackendTest, SaysThatAnEncoderDoesNotRerankAndStartsNoneForIt) {
    start();
    auto answer = testing::start(
        shards_.io(0), backend_->rerank({.query = "q", .documents = {"a"}}, Deadline::after(30s)));
    ASSERT_EQ(answer.wait_for(40s), std::future_status::ready);
    const auto refused = answer.get();
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, Code::InvalidArgument);
    EXPECT_EQ(refused.error().reason, "model_cannot_rerank");
    EXPECT_EQ(refused.error().message,
              "scripted makes embeddings and does not rerank; ask /v1/embeddings");
    EXPECT_EQ(supervisor_->status().pid, 0);
}

TEST_F(WorkerBackendTest, TakesAsManyInputsAsTheBoundAndRefusesOneMore) {
    start();
    EmbedRequest request;
    request.inputs.assign(2048, "word");
    const auto full = wait(send(request));
    ASSERT_TRUE(full) << full.error().message;
    EXPECT_EQ(full->tokens.size(), 2048U);
    request.inputs.emplace_back("word");
    EXPECT_EQ(wait(send(request)).error().param, "input");
}

TEST_F(WorkerBackendTest, LosesNoCallWhenItsWorkerIsKilled) {
    start();
    auto answers = hold(32);
    ::kill(supervisor_->status().pid, SIGKILL);
    folder_.put("open");
    for (auto& answer : answers) {
        const auto reply = wait(std::move(answer));
        EXPECT_TRUE(reply) << reply.error().message;
    }
    EXPECT_EQ(folder_.starts().size(), 2U);
    EXPECT_EQ(supervisor_->status().restarts, 1U);
}

TEST_F(WorkerBackendTest, RefusesARequestThatKilledTwoWorkersAndServesTheOthers) {
    start();
    const auto second = embed("please crash");
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error().code, Code::InvalidArgument);
    EXPECT_EQ(second.error().reason, "poison_request");
    EXPECT_TRUE(embed("fine"));
    const std::size_t starts = folder_.starts().size();
    EXPECT_EQ(starts, 3U);
    const auto third = embed("please crash");
    EXPECT_EQ(third.error().reason, "poison_request");
    EXPECT_TRUE(embed("fine"));
    EXPECT_EQ(folder_.starts().size(), starts) << "the third time it reached no worker";
}

TEST_F(WorkerBackendTest, DoesNotBlameWhoStoodBesideThePoison) {
    start();
    auto answers = hold(6);
    // The gate holds both sessions, so the crash waits in the queue until it opens.
    Answer poison = send_text("please crash");
    EXPECT_TRUE(eventually([&] { return supervisor_->status().calls == 7; }));
    folder_.put("open");
    EXPECT_EQ(wait(std::move(poison)).error().reason, "poison_request");
    for (auto& answer : answers) {
        const auto reply = wait(std::move(answer));
        EXPECT_TRUE(reply) << reply.error().message;
    }
    EXPECT_TRUE(embed("gate 0"));
}

TEST_F(WorkerBackendTest, KillsAWorkerWhoseTaskHangsAndRefusesThatRequest) {
    options_.hang_time = 150ms;
    start();
    const auto hung = embed("please hang");
    ASSERT_FALSE(hung);
    EXPECT_EQ(hung.error().reason, "poison_request");
    EXPECT_TRUE(embed("fine"));
    EXPECT_EQ(supervisor_->status().restarts, 2U);
}

TEST_F(WorkerBackendTest, BlamesAHangingRequestWhoseCallerHasLeft) {
    options_.hang_time = 300ms;
    start();
    ASSERT_TRUE(embed("fine"));
    for (int time = 0; time < 2; ++time) {
        const auto left = wait(send_text("please hang", 0, 100ms));
        EXPECT_EQ(left.error().code, Code::DeadlineExceeded);
        EXPECT_TRUE(eventually([&] {
            return supervisor_->status().restarts == static_cast<std::uint64_t>(time) + 1;
        }));
        EXPECT_TRUE(becomes(WorkerState::Ready));
    }
    EXPECT_EQ(embed("please hang").error().reason, "poison_request");
}

TEST_F(WorkerBackendTest, ReplacesAWorkerThatNoLongerAnswersItsHeartbeat) {
    options_.heartbeat_time = 200ms;
    start();
    ASSERT_TRUE(embed("fine"));
    const int stopped = supervisor_->status().pid;
    ::kill(stopped, SIGSTOP);
    EXPECT_TRUE(eventually([&] { return testing::is_dead(stopped); }));
    EXPECT_TRUE(embed("fine"));
    EXPECT_NE(supervisor_->status().pid, stopped);
}

TEST_F(WorkerBackendTest, DoesNotStartARefusedFolderAgainAndAgain) {
    folder_.put("refuse", "config.json: hidden_size is missing\n");
    start();
    for (int i = 0; i < 5; ++i) {
        const auto refused = embed("fine");
        ASSERT_FALSE(refused);
        EXPECT_EQ(refused.error().message, "config.json: hidden_size is missing");
        EXPECT_EQ(refused.error().reason, "model_refused");
    }
    EXPECT_EQ(folder_.starts().size(), 1U);
    EXPECT_EQ(supervisor_->status().state, WorkerState::Refused);
    EXPECT_EQ(backend_->probe(), inference::Health::Down);
}

TEST_F(WorkerBackendTest, ServesAFolderOnceItIsMended) {
    options_.refused_time = 1ms;
    folder_.put("refuse", "broken\n");
    start();
    EXPECT_EQ(embed("fine").error().message, "broken");
    folder_.remove("refuse");
    EXPECT_TRUE(eventually([&] { return embed("fine").has_value(); }));
}

TEST_F(WorkerBackendTest, BacksOffFromAWorkerThatDiesAtStartAndRecovers) {
    folder_.put("crash-at-start");
    options_.backoff_first = 100ms;
    options_.backoff_max = 100ms;
    start();
    const auto failing = embed("fine");
    ASSERT_FALSE(failing);
    EXPECT_EQ(failing.error().code, Code::Unavailable);
    EXPECT_EQ(failing.error().reason, "worker_failing");
    EXPECT_EQ(folder_.starts().size(), 3U);
    folder_.remove("crash-at-start");
    EXPECT_TRUE(becomes(WorkerState::Ready));
    EXPECT_TRUE(embed("fine"));
}

TEST_F(WorkerBackendTest, SaysSoWhenTheProgramIsMissing) {
    options_.program = "/nonexistent/hearth-worker";
    start();
    const auto missing = embed("fine");
    ASSERT_FALSE(missing);
    EXPECT_EQ(missing.error().code, Code::Unavailable);
    EXPECT_NE(missing.error().message.find("/nonexistent/hearth-worker"), std::string::npos);
}

TEST_F(WorkerBackendTest, EndsAWorkerThatDoesNotBecomeReady) {
    folder_.put("never-ready");
    options_.start_time = 100ms;
    start();
    Answer answer = send_text("fine");
    EXPECT_TRUE(eventually([&] { return folder_.starts().size() >= 2; }));
    EXPECT_TRUE(eventually([&] { return testing::is_dead(folder_.starts().front()); }));
    EXPECT_EQ(wait(std::move(answer)).error().code, Code::Unavailable);
}

TEST_F(WorkerBackendTest, TakesNonsenseFromTheWorkerForABadUpstream) {
    folder_.put("garbage");
    start();
    EXPECT_EQ(embed("fine").error().code, Code::BadUpstream);
    EXPECT_EQ(supervisor_->status().state, WorkerState::Ready);
}

TEST_F(WorkerBackendTest, EndsACallAtItsDeadline) {
    start();
    ASSERT_TRUE(embed("fine"));
    const auto late = wait(send_text("gate", 0, 100ms));
    ASSERT_FALSE(late);
    EXPECT_EQ(late.error().code, Code::DeadlineExceeded);
    folder_.put("open");
    EXPECT_TRUE(embed("gate"));
}

TEST_F(WorkerBackendTest, UnloadsWithKeepAliveZeroAndLoadsAgain) {
    start();
    EXPECT_TRUE(wait(send({.inputs = {"fine"}, .keep_alive = 0ms})));
    const int first = folder_.starts().front();
    EXPECT_TRUE(becomes(WorkerState::Unloaded));
    EXPECT_TRUE(eventually([&] { return testing::is_dead(first); }));
    const auto loaded = wait(send({.keep_alive = 1h}));
    ASSERT_TRUE(loaded);
    EXPECT_TRUE(loaded->vectors.empty());
    EXPECT_GT(loaded->load_time.count(), 0);
    const WorkerStatus status = supervisor_->status();
    EXPECT_EQ(status.state, WorkerState::Ready);
    ASSERT_TRUE(status.expires_at);
    EXPECT_GT(*status.expires_at, std::chrono::system_clock::now() + 59min);
    EXPECT_EQ(status.restarts, 0U) << "unloading is no failure";
    EXPECT_TRUE(wait(send({.keep_alive = 0ms})));
    EXPECT_TRUE(becomes(WorkerState::Unloaded));
}

TEST_F(WorkerBackendTest, UnloadsAfterItsIdleTime) {
    options_.idle_unload = 100ms;
    start();
    EXPECT_TRUE(embed("fine"));
    EXPECT_TRUE(becomes(WorkerState::Unloaded));
    EXPECT_TRUE(embed("fine"));
    EXPECT_EQ(folder_.starts().size(), 2U);
}

TEST_F(WorkerBackendTest, RefusesCallsAndLeavesNoProcessWhenStopped) {
    options_.stop_time = 200ms;
    start();
    auto answers = hold(3);
    const int pid = supervisor_->status().pid;
    supervisor_->stop();
    for (auto& answer : answers) {
        EXPECT_EQ(wait(std::move(answer)).error().code, Code::Unavailable);
    }
    EXPECT_TRUE(testing::is_dead(pid));
    EXPECT_EQ(embed("fine").error().code, Code::Unavailable);
}

TEST_F(WorkerBackendTest, CountsWhatItDoes) {
    start();
    EXPECT_TRUE(embed("one two"));
    EXPECT_FALSE(embed("please crash"));
    const std::string text = registry_.expose();
    for (const char* line : {"hearth_worker_restarts_total{model=\"scripted\"} 2",
                             "hearth_worker_poison_total{model=\"scripted\"} 1",
                             "hearth_worker_retries_total{model=\"scripted\"} 1",
                             "hearth_worker_requests_total{model=\"scripted\"} 2",
                             "hearth_worker_texts_total{model=\"scripted\"} 1",
                             "hearth_worker_tokens_total{model=\"scripted\"} 4"}) {
        EXPECT_NE(text.find(line), std::string::npos) << line << "\n" << text;
    }
}

// The parent is killed so that it can run nothing; a stopped worker cannot read its life line
// either.
class WorkerOrphanTest : public ::testing::TestWithParam<bool> {};

TEST_P(WorkerOrphanTest, DoesNotOutliveAParentThatIsKilled) {
    const testing::WorkerFolder folder;
    boost::asio::io_context io;
    const std::string socket = folder.path() / "w.sock";
    auto parent = runtime::ChildProcess::start(
        io, {.program = HEARTH_SCRIPTED_PARENT,
             .arguments = {HEARTH_SCRIPTED_WORKER, "--model", folder.path(), "--socket", socket}});
    ASSERT_TRUE(parent);
    ASSERT_TRUE(eventually([&] { return std::filesystem::exists(socket); }));
    const int worker = folder.starts().front();
    if (GetParam()) ::kill(worker, SIGSTOP);
    ::kill((*parent)->pid(), SIGKILL);
    EXPECT_TRUE(eventually([&] { return testing::is_dead(worker); }));
}

INSTANTIATE_TEST_SUITE_P(WorkerBackend, WorkerOrphanTest, ::testing::Bool(),
                         [](const auto& stopped) {
                             return stopped.param ? "WhenStopped" : "WhenRunning";
                         });

}  // namespace
}  // namespace hearth::worker
