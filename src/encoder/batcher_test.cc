#include "encoder/batcher.h"

#include <gtest/gtest.h>

#include <atomic>
#include <condition_variable>
#include <future>
#include <mutex>
#include <set>
#include <thread>

namespace hearth::encoder {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

constexpr auto kPatience = 10s;

// Answers [first id, length]. While closed, run() blocks; the id 13 makes a batch fail.
class ScriptedEngine : public Engine {
  public:
    explicit ScriptedEngine(std::size_t sessions) : sessions_(sessions) {
        config_.hidden = 2;
        config_.tokens_max = 100'000;
    }
    const models::EncoderConfig& config() const override { return config_; }
    Precision precision() const override { return Precision::Fp32; }
    std::size_t sessions() const override { return sessions_; }
    std::size_t threads() const override { return 1; }

    Result<void> run(std::size_t session, std::span<const std::int32_t> ids,
                     std::span<const std::uint32_t> lengths, std::span<float> out) override {
        std::unique_lock lock(mutex_);
        batches_.push_back(lengths.size());
        used_.insert(session);
        changed_.notify_all();
        changed_.wait(lock, [&] { return open_; });
        std::size_t at = 0;
        for (std::size_t i = 0; i < lengths.size(); ++i) {
            if (ids[at] == 13) return fail(Code::Internal, "unlucky");
            out[2 * i] = static_cast<float>(ids[at]);
            out[2 * i + 1] = static_cast<float>(lengths[i]);
            at += lengths[i];
        }
        return {};
    }

    void open(bool value) {
        std::lock_guard lock(mutex_);
        open_ = value;
        changed_.notify_all();
    }
    bool wait_for_batches(std::size_t count) {
        std::unique_lock lock(mutex_);
        return changed_.wait_for(lock, kPatience, [&] { return batches_.size() >= count; });
    }
    std::vector<std::size_t> batches() {
        std::lock_guard lock(mutex_);
        return batches_;
    }
    std::size_t sessions_used() {
        std::lock_guard lock(mutex_);
        return used_.size();
    }

  private:
    models::EncoderConfig config_;
    const std::size_t sessions_;
    std::mutex mutex_;
    std::condition_variable changed_;
    bool open_ = true;
    std::vector<std::size_t> batches_;
    std::set<std::size_t> used_;
};

using Answer = Result<std::vector<float>>;

Job make_job(std::int32_t first, std::size_t length, std::future<Answer>& answer) {
    auto promise = std::make_shared<std::promise<Answer>>();
    answer = promise->get_future();
    Job job;
    job.ids.assign(length, 0);
    if (length > 0) job.ids[0] = first;
    job.deadline = Clock::now() + 1h;
    job.done = [promise](Result<Row> row) {
        if (!row) return promise->set_value(fail(row.error()));
        promise->set_value(std::vector<float>(row->values.begin(), row->values.end()));
    };
    return job;
}

std::future<Answer> submit_one(Batcher& batcher, std::int32_t first, std::size_t length) {
    std::future<Answer> answer;
    std::vector<Job> jobs;
    jobs.push_back(make_job(first, length, answer));
    EXPECT_TRUE(batcher.submit(std::move(jobs)));
    return answer;
}

Code code_of(std::future<Answer>& answer) {
    if (answer.wait_for(kPatience) != std::future_status::ready) return Code::Internal;
    const Answer result = answer.get();
    EXPECT_FALSE(result);
    return result ? Code::Internal : result.error().code;
}

TEST(Batcher, GivesEachTextItsOwnRow) {
    ScriptedEngine engine(2);
    Batcher batcher(engine, {.batch_tokens_max = 64});
    std::vector<std::future<Answer>> answers(200);
    std::vector<Job> jobs;
    for (std::size_t i = 0; i < answers.size(); ++i) {
        jobs.push_back(make_job(static_cast<std::int32_t>(100 + i), 1 + i % 40, answers[i]));
    }
    ASSERT_TRUE(batcher.submit(std::move(jobs)));
    for (std::size_t i = 0; i < answers.size(); ++i) {
        ASSERT_EQ(answers[i].wait_for(kPatience), std::future_status::ready);
        const Answer answer = answers[i].get();
        ASSERT_TRUE(answer);
        EXPECT_EQ((*answer)[0], static_cast<float>(100 + i));
        EXPECT_EQ((*answer)[1], static_cast<float>(1 + i % 40));
    }
}

TEST(Batcher, UsesBothIdleSessionsForOneCallOfTenTexts) {
    ScriptedEngine engine(2);
    engine.open(false);
    Batcher batcher(engine, {});
    std::vector<std::future<Answer>> answers(10);
    std::vector<Job> jobs;
    for (auto& answer : answers) jobs.push_back(make_job(1, 20, answer));
    ASSERT_TRUE(batcher.submit(std::move(jobs)));
    ASSERT_TRUE(engine.wait_for_batches(2));
    EXPECT_EQ(engine.sessions_used(), 2U);
    engine.open(true);
    for (auto& answer : answers) {
        ASSERT_EQ(answer.wait_for(kPatience), std::future_status::ready);
    }
}

TEST(Batcher, SkipsExpiredAndCancelledTextsAtDequeue) {
    ScriptedEngine engine(1);
    engine.open(false);
    Batcher batcher(engine, {});
    auto running = submit_one(batcher, 1, 4);
    ASSERT_TRUE(engine.wait_for_batches(1));
    std::future<Answer> late;
    std::future<Answer> left;
    std::future<Answer> fine;
    std::vector<Job> jobs;
    jobs.push_back(make_job(2, 4, late));
    jobs.back().deadline = Clock::now();
    jobs.push_back(make_job(3, 4, left));
    jobs.back().cancelled = [] { return true; };
    jobs.push_back(make_job(4, 4, fine));
    ASSERT_TRUE(batcher.submit(std::move(jobs)));
    engine.open(true);
    EXPECT_EQ(code_of(late), Code::DeadlineExceeded);
    EXPECT_EQ(code_of(left), Code::Cancelled);
    EXPECT_TRUE(fine.get());
    EXPECT_EQ(engine.batches(), (std::vector<std::size_t>{1, 1}));
}

TEST(Batcher, AdmitsACallWholeOrNotAtAll) {
    ScriptedEngine engine(1);
    engine.open(false);
    Batcher batcher(engine, {.queue_texts_max = 3, .queue_tokens_max = 100});
    auto running = submit_one(batcher, 1, 4);
    ASSERT_TRUE(engine.wait_for_batches(1));
    std::vector<std::future<Answer>> answers(8);
    std::vector<Job> four;
    for (int i = 0; i < 4; ++i) four.push_back(make_job(1, 1, answers[static_cast<size_t>(i)]));
    const Result<void> over = batcher.submit(std::move(four));
    ASSERT_FALSE(over);
    EXPECT_EQ(over.error().code, Code::Overloaded);
    EXPECT_EQ(batcher.stats().queued_texts, 0U);
    std::vector<Job> tokens;
    tokens.push_back(make_job(1, 101, answers[4]));
    EXPECT_EQ(batcher.submit(std::move(tokens)).error().code, Code::Overloaded);
    std::vector<Job> three;
    for (std::size_t i = 5; i < 8; ++i) three.push_back(make_job(1, i == 5 ? 98 : 1, answers[i]));
    EXPECT_TRUE(batcher.submit(std::move(three)));
    EXPECT_EQ(batcher.stats().queued_tokens, 100U);
    engine.open(true);
    for (std::size_t i = 5; i < 8; ++i) EXPECT_TRUE(answers[i].get());
}

TEST(Batcher, RefusesEmptyTextsAndTextsOverTheWindow) {
    ScriptedEngine engine(1);
    Batcher batcher(engine, {});
    for (const std::size_t length : {0UZ, 100'001UZ}) {
        std::future<Answer> answer;
        std::vector<Job> jobs;
        jobs.push_back(make_job(1, length, answer));
        EXPECT_EQ(batcher.submit(std::move(jobs)).error().code, Code::InvalidArgument);
    }
}

TEST(Batcher, AnswersTheNeighboursOfATextTheEngineRefuses) {
    ScriptedEngine engine(1);
    engine.open(false);
    Batcher batcher(engine, {});
    auto running = submit_one(batcher, 1, 4);
    ASSERT_TRUE(engine.wait_for_batches(1));
    std::vector<std::future<Answer>> answers(3);
    std::vector<Job> jobs;
    for (std::size_t i = 0; i < 3; ++i) {
        jobs.push_back(make_job(static_cast<std::int32_t>(12 + i), 4, answers[i]));
    }
    ASSERT_TRUE(batcher.submit(std::move(jobs)));
    engine.open(true);
    EXPECT_TRUE(answers[0].get());
    EXPECT_EQ(code_of(answers[1]), Code::Internal);
    EXPECT_TRUE(answers[2].get());
}

TEST(Batcher, ShowsSinceWhenTheRunningTaskRuns) {
    ScriptedEngine engine(1);
    engine.open(false);
    Batcher batcher(engine, {});
    EXPECT_EQ(batcher.stats().running_since, Clock::time_point{});
    const auto before = Clock::now();
    auto running = submit_one(batcher, 1, 4);
    ASSERT_TRUE(engine.wait_for_batches(1));
    EXPECT_GE(batcher.stats().running_since, before);
    engine.open(true);
    EXPECT_TRUE(running.get());
    const auto limit = Clock::now() + kPatience;
    while (batcher.stats().batches == 0 && Clock::now() < limit) std::this_thread::yield();
    EXPECT_EQ(batcher.stats().running_since, Clock::time_point{});
    EXPECT_EQ(batcher.stats().texts, 1U);
    EXPECT_EQ(batcher.stats().tokens, 4U);
}

TEST(Batcher, FailsWhatIsQueuedWhenDestroyedAndFinishesWhatRuns) {
    ScriptedEngine engine(1);
    engine.open(false);
    std::future<Answer> running;
    std::future<Answer> queued;
    std::jthread opener;
    {
        Batcher batcher(engine, {});
        running = submit_one(batcher, 1, 4);
        ASSERT_TRUE(engine.wait_for_batches(1));
        queued = submit_one(batcher, 2, 4);
        opener = std::jthread([&] { engine.open(true); });
        // Whichever comes first, the gate or the destructor, both texts get their answer.
    }
    EXPECT_TRUE(running.get());
    const Answer answer = queued.get();
    EXPECT_TRUE(answer || answer.error().code == Code::Cancelled);
}

}  // namespace
}  // namespace hearth::encoder
