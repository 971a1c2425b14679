#include "backends/worker/llama_quantize.h"

#include <gtest/gtest.h>

#include <boost/asio/io_context.hpp>
#include <filesystem>

#include "base/format.h"
#include "testing/gguf_models.h"
#include "testing/run.h"
#include "testing/served_llama.h"
#include "testing/worker_folder.h"

namespace hearth::worker {
namespace {

using namespace std::chrono_literals;

TEST(Quantisations, AreNamedInAnyCase) {
    EXPECT_EQ(quantisation_named("q4_k_m"), "Q4_K_M");
    EXPECT_EQ(quantisation_named("Q8_0"), "Q8_0");
    for (const char* text : {"", "q4", "--help", "Q4_K_M "}) {
        EXPECT_EQ(quantisation_named(text), "") << text;
    }
    EXPECT_TRUE(quantisations().contains("Q6_K, Q8_0"));
}

TEST(Quantisations, ProgressIsReadFromTheProgramsLines) {
    const auto line = read_tensor_line("[   3/ 291]   blk.0.attn_q.weight - [ 64, 64, 1, 1]");
    ASSERT_TRUE(line);
    EXPECT_EQ(line->done, 3U);
    EXPECT_EQ(line->total, 291U);
    for (const char* text : {"", "[", "[ 3", "[3/", "[3/x]", "[4/3]", "[1]2.5,", "main: 3/4"}) {
        EXPECT_FALSE(read_tensor_line(text)) << text;
    }
    const auto score = read_perplexity("Final estimate: PPL = 12.3456 +/- 0.12345");
    ASSERT_TRUE(score);
    EXPECT_DOUBLE_EQ(score->value, 12.3456);
    EXPECT_DOUBLE_EQ(score->error, 0.12345);
    EXPECT_FALSE(read_perplexity("Final estimate: PPL = "));
    EXPECT_FALSE(read_perplexity("Final estimate: PPL = x +/- y"));
}

class RunLlamaQuantize : public ::testing::Test {
  protected:
    void SetUp() override {
        if (!testing::can_run_llama()) GTEST_SKIP() << "./dev setup has not built llama.cpp";
    }
    Quantize quantize(std::string_view type, bool again) const {
        return {.program = testing::llama_program("llama-quantize"),
                .input = testing::known_gguf(testing::GgufKind::Text),
                .output = folder_.path() / "out.gguf",
                .type = type,
                .again = again};
    }
    Awaitable<Result<void>> follow(Quantize what) {
        CO_TRY(const auto run, LlamaQuantize::start(io_, what));
        for (;;) {
            auto ended = co_await run->wait(Deadline::after(5ms));
            if (ended) {
                last_ = run->progress();
                co_return *std::move(ended);
            }
        }
    }
    Result<void> run(const Quantize& what) { return testing::run(io_, follow(what), 40s); }

    const testing::WorkerFolder folder_;
    boost::asio::io_context io_;
    TensorCount last_;
};

TEST_F(RunLlamaQuantize, MakesASmallerFileAndSaysHowFarItIs) {
    const Quantize what = quantize("Q4_0", true);
    const auto done = run(what);
    ASSERT_TRUE(done) << done.error().message;
    EXPECT_GT(last_.done, 5U);
    EXPECT_EQ(last_.done, last_.total);
    EXPECT_LT(std::filesystem::file_size(what.output), std::filesystem::file_size(what.input));
}

TEST_F(RunLlamaQuantize, AFailureSaysWhyAndLeavesNoFile) {
    Quantize what = quantize("Q4_0", false);
    const auto again = run(what);
    ASSERT_FALSE(again);
    EXPECT_EQ(again.error().code, Code::InvalidArgument) << again.error().message;
    EXPECT_FALSE(std::filesystem::exists(what.output));
    folder_.put("bad.gguf", "this is no model");
    what.input = folder_.path() / "bad.gguf";
    const auto bad = run(what);
    ASSERT_FALSE(bad);
    EXPECT_EQ(bad.error().code, Code::InvalidArgument) << bad.error().message;
    what.program = "/nowhere/llama-quantize";
    EXPECT_EQ(run(what).error().code, Code::NotFound);
}

TEST_F(RunLlamaQuantize, EndsWithItsOwnerAndLeavesNoFile) {
    const Quantize what = quantize("Q4_0", true);
    auto started = LlamaQuantize::start(io_, what);
    ASSERT_TRUE(started) << started.error().message;
    EXPECT_FALSE(testing::run(io_, (*started)->wait(Deadline::after(0ms)), 5s));
    started->reset();
    EXPECT_FALSE(std::filesystem::exists(what.output));
}

TEST_F(RunLlamaQuantize, MeasuresThePerplexityOfAText) {
    std::string text;
    for (int i = 0; i < 400; ++i) text += format("the {} quick brown foxes of {}. ", i, i % 7);
    folder_.put("text", text);
    const auto measure = [&](std::size_t context) {
        return testing::run(
            io_,
            run_llama_perplexity(io_,
                                 {.program = testing::llama_program("llama-perplexity"),
                                  .model = testing::known_gguf(testing::GgufKind::Text),
                                  .text = folder_.path() / "text",
                                  .context = context,
                                  .chunks_max = 2},
                                 Deadline::after(60s)),
            70s);
    };
    const auto score = measure(128);
    ASSERT_TRUE(score) << score.error().message;
    EXPECT_GT(score->value, 1.0);
    const auto too_short = measure(1 << 15);
    ASSERT_FALSE(too_short);
    EXPECT_EQ(too_short.error().code, Code::InvalidArgument) << too_short.error().message;
}

}  // namespace
}  // namespace hearth::worker
