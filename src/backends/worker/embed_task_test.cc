#include "backends/worker/embed_task.h"

#include <gtest/gtest.h>

#include <cmath>
#include <future>
#include <mutex>
#include <set>

#include "tokens/byte_tokenizer.h"

namespace hearth::worker {
namespace {

using namespace std::chrono_literals;
using Ids = std::vector<std::int32_t>;
using inference::TokenIds;

// The row of a text is its second and its third id, and its length; 'X' fails.
class PlainEngine : public encoder::Engine {
  public:
    PlainEngine() {
        config_.hidden = 3;
        config_.tokens_max = 4096;
    }
    const models::EncoderConfig& config() const override { return config_; }
    encoder::Precision precision() const override { return encoder::Precision::Fp32; }
    std::size_t sessions() const override { return 2; }
    std::size_t threads() const override { return 1; }
    Result<void> run(std::size_t, std::span<const std::int32_t> ids,
                     std::span<const std::uint32_t> lengths, std::span<float> out) override {
        std::size_t at = 0;
        for (std::size_t i = 0; i < lengths.size(); ++i) {
            if (ids[at + 1] == 'X') return fail(Code::Internal, "told to fail");
            for (std::size_t d = 0; d < 2; ++d)
                out[3 * i + d] = static_cast<float>(ids[at + 1 + d]);
            out[3 * i + 2] = static_cast<float>(lengths[i]);
            at += lengths[i];
        }
        texts += lengths.size();
        return {};
    }
    std::atomic<std::size_t> texts = 0;

  private:
    models::EncoderConfig config_;
};

class EmbedTaskTest : public ::testing::Test {
  protected:
    Result<inference::EmbedReply> embed(inference::EmbedRequest request,
                                        std::chrono::milliseconds time_left = 10s) {
        std::promise<Result<std::string>> promise;
        auto answer = promise.get_future();
        EmbedTask::make({prep_, batcher_, pool_},
                        {.request = std::move(request), .time_left = time_left},
                        [&](Result<std::string> bytes) { promise.set_value(std::move(bytes)); })
            ->start();
        if (answer.wait_for(10s) != std::future_status::ready) std::abort();
        TRY(const std::string bytes, answer.get());
        return decode_answer(bytes);
    }

    PlainEngine engine_;
    tokens::ByteTokenizer tokenizer_;
    tokens::TextPrep prep_{tokenizer_, engine_.config()};
    encoder::Batcher batcher_{engine_, {}};
    TextPool pool_{2, 64};
};

TEST_F(EmbedTaskTest, AnswersEachInputInItsPlace) {
    const auto reply = embed({.inputs = {"ab", TokenIds{3, 4, 5}, "c"}, .normalize = false});
    ASSERT_TRUE(reply) << reply.error().message;
    EXPECT_EQ(reply->dimension, 3U);
    EXPECT_EQ(reply->vectors, (std::vector<float>{'a', 'b', 4, 3, 4, 5, 'c', 257, 3}));
    EXPECT_EQ(reply->tokens, (std::vector<std::uint32_t>{4, 5, 3}));
    EXPECT_GT(reply->compute_time.count(), 0);
    EXPECT_GE(reply->queue_time.count(), 0);
}

TEST_F(EmbedTaskTest, ComputesIdenticalInputsOnceAndCountsThemAll) {
    const auto reply = embed({.inputs = {"ab", "cd", "ab", TokenIds{'a', 'b'}, "ab"},
                              .normalize = false,
                              .tokens_max = 20});
    ASSERT_TRUE(reply) << reply.error().message;
    EXPECT_EQ(engine_.texts, 3U);
    for (const std::size_t copy : {2U, 4U}) {
        EXPECT_EQ(reply->vectors[3 * copy], 'a');
        EXPECT_EQ(reply->tokens[copy], 4U);
    }
}

TEST_F(EmbedTaskTest, NormalisesAfterTheCut) {
    const auto reply = embed({.inputs = {TokenIds{3, 4}}, .dimensions = 2});
    ASSERT_TRUE(reply);
    EXPECT_EQ(reply->vectors, (std::vector<float>{0.6F, 0.8F}));
}

TEST_F(EmbedTaskTest, AnswersNoInputsWithNoVectors) {
    const auto reply = embed({});
    ASSERT_TRUE(reply);
    EXPECT_TRUE(reply->tokens.empty());
    EXPECT_EQ(reply->dimension, 3U);
}

TEST_F(EmbedTaskTest, AllowsAsManyTokensAsTheCapAndRefusesOneMore) {
    EXPECT_TRUE(embed({.inputs = {"ab", "cd"}, .tokens_max = 8}));
    const auto over = embed({.inputs = {"ab", "cde"}, .tokens_max = 8});
    ASSERT_FALSE(over);
    EXPECT_EQ(over.error().reason, "max_tokens_per_request");
    EXPECT_EQ(engine_.texts, 2U);
}

TEST_F(EmbedTaskTest, PreparesALargeCallInPiecesAndKeepsItsOrder) {
    inference::EmbedRequest request{.normalize = false};
    for (std::size_t i = 0; i < kInputsMax; ++i) {
        request.inputs.emplace_back(std::string(1, static_cast<char>(i % 50 + 32)) +
                                    static_cast<char>(i / 50 + 32) + std::string(i % 300, 'y'));
    }
    const auto expected = request.inputs;
    const auto reply = embed(std::move(request));
    ASSERT_TRUE(reply) << reply.error().message;
    for (std::size_t i = 0; i < expected.size(); ++i) {
        const auto& text = std::get<std::string>(expected[i]);
        ASSERT_EQ(reply->vectors[3 * i], static_cast<float>(text[0])) << i;
        ASSERT_EQ(reply->vectors[3 * i + 1], static_cast<float>(text[1])) << i;
        ASSERT_EQ(reply->tokens[i], text.size() + 2) << i;
    }
}

TEST_F(EmbedTaskTest, NamesTheInputThatIsTooLong) {
    const auto over = embed({.inputs = {"ab", std::string(5000, 'a')}});
    ASSERT_FALSE(over);
    EXPECT_EQ(over.error().reason, "context_length_exceeded");
    EXPECT_EQ(over.error().param, "input[1]");
}

TEST_F(EmbedTaskTest, FailsWholeWithTheEnginesOwnError) {
    const auto reply = embed({.inputs = {"ab", "Xy", "cd"}});
    ASSERT_FALSE(reply);
    EXPECT_EQ(reply.error().message, "told to fail");
}

TEST_F(EmbedTaskTest, ComputesNothingAfterItsDeadline) {
    const auto reply = embed({.inputs = {"ab"}}, 0ms);
    ASSERT_FALSE(reply);
    EXPECT_EQ(reply.error().code, Code::DeadlineExceeded);
    EXPECT_EQ(engine_.texts, 0U);
}

TEST(TextPool, RefusesWorkOverItsBoundAndRunsWhatItTook) {
    std::atomic<int> ran = 0;
    std::promise<void> gate;
    std::promise<void> busy;
    {
        TextPool pool(1, 2);
        std::move_only_function<void()> first = [&] {
            busy.set_value();
            gate.get_future().wait();
        };
        ASSERT_TRUE(pool.post(first));
        busy.get_future().wait();
        for (int i = 0; i < 2; ++i) {
            std::move_only_function<void()> work = [&] { ++ran; };
            EXPECT_TRUE(pool.post(work));
        }
        std::move_only_function<void()> over = [&] { ++ran; };
        EXPECT_FALSE(pool.post(over));
        over();
        gate.set_value();
    }
    EXPECT_EQ(ran, 3);
}

TEST(FinishRow, CutsThenGivesTheRestLengthOne) {
    std::vector<float> row = {3, 4, 12};
    finish_row(row, 2, true);
    EXPECT_EQ(row, (std::vector<float>{0.6F, 0.8F}));
    row = {3, 4, 12};
    finish_row(row, 2, false);
    EXPECT_EQ(row, (std::vector<float>{3, 4}));
    row = {0, 0};
    finish_row(row, 2, true);
    EXPECT_EQ(row, (std::vector<float>{0, 0}));
}

}  // namespace
}  // namespace hearth::worker
