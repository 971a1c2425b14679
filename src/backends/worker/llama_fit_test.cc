#include "backends/worker/llama_fit.h"

#include <gtest/gtest.h>

#include <boost/asio/io_context.hpp>
#include <fstream>

#include "backends/worker/llama_flags.h"
#include "testing/gguf_models.h"
#include "testing/run.h"
#include "testing/served_llama.h"
#include "testing/worker_folder.h"

namespace hearth::worker {
namespace {

using namespace std::chrono_literals;

TEST(LlamaFit, ReadsALinePerDevice) {
    const auto bytes = read_fit("CUDA0 4000 512 300\nCUDA1 10 0 0\nHost 20 1 297 \n");
    ASSERT_TRUE(bytes);
    EXPECT_EQ(bytes->devices,
              (DeviceBytes{{"CUDA0", 4812 * kMib}, {"CUDA1", 10 * kMib}, {"host", 318 * kMib}}));
    EXPECT_EQ(bytes->context, 513 * kMib);
}

TEST(LlamaFit, AddsUpTheLinesOfOneDevice) {
    const auto bytes = read_fit("Host 1 2 3\nHost 4 5 6");
    ASSERT_TRUE(bytes);
    EXPECT_EQ(bytes->devices, (DeviceBytes{{"host", 21 * kMib}}));
    EXPECT_EQ(bytes->context, 7 * kMib);
}

TEST(LlamaFit, PassesOverWhatIsNoEstimate) {
    const auto bytes = read_fit(
        "0.00.009.460 I llama_fit_params: printing estimated memory in MiB to stdout (device, "
        "model, context, compute) ...\n"
        "\n"
        "Host 1 2\n"
        "Host one 2 3\n"
        "Host 1 2 3 4\n"
        "CUDA0 1 2 3\n");
    ASSERT_TRUE(bytes);
    EXPECT_EQ(bytes->devices, (DeviceBytes{{"CUDA0", 6 * kMib}}));
}

TEST(LlamaFit, RefusesAbsurdNumbers) {
    for (const char* line : {"Host 16777217 0 0", "Host -1 0 0", "Host 0 0 18446744073709551615",
                             "Host 0 99999999999999999999999 0", "Host nan 0 0", ""}) {
        const auto bytes = read_fit(line);
        ASSERT_FALSE(bytes) << line;
        EXPECT_EQ(bytes.error().code, Code::BadUpstream);
    }
    EXPECT_TRUE(read_fit("Host 16777216 0 0"));
}

class RunLlamaFit : public ::testing::Test {
  protected:
    void SetUp() override {
        if (!testing::can_make_gguf() || !std::filesystem::exists(program_)) {
            GTEST_SKIP() << "./dev setup has not built llama.cpp";
        }
    }
    Result<DeviceBytes> estimate(LlamaFit fit, Deadline deadline = Deadline::after(10s)) {
        auto bytes = testing::run(io_, run_llama_fit(io_, std::move(fit), deadline), 12s);
        if (!bytes) return std::unexpected(std::move(bytes).error());
        return std::move(bytes->devices);
    }

    const std::filesystem::path program_ = testing::llama_program("llama-fit-params");
    boost::asio::io_context io_;
};

TEST_F(RunLlamaFit, EstimatesAModelWithTheFlagsItIsLoadedWith) {
    const auto file = testing::known_gguf(testing::GgufKind::Text);
    const LlamaModel model{.context_trained = 4096};
    const auto small = estimate({.program = program_,
                                 .model = file,
                                 .flags = llama_memory_flags(model, {.micro_batch = 32})});
    ASSERT_TRUE(small) << small.error().message;
    const auto large = estimate({.program = program_,
                                 .model = file,
                                 .flags = llama_memory_flags(model, {.micro_batch = 512})});
    ASSERT_TRUE(large) << large.error().message;
    EXPECT_GT(at(*small, "host"), 20 * kMib);
    EXPECT_GT(at(*large, "host"), at(*small, "host"));
}

TEST_F(RunLlamaFit, KnowsTheFlagsOfAnEmbedder) {
    const auto bytes =
        estimate({.program = program_,
                  .model = testing::known_gguf(testing::GgufKind::Embedder),
                  .flags = llama_memory_flags({.context_trained = 512, .embeds = true}, {})});
    ASSERT_TRUE(bytes) << bytes.error().message;
    EXPECT_GT(at(*bytes, "host"), 0U);
}

// It says why it refuses its flags. Why it cannot load a file is said by another thread, which its
// abort may overtake: llama-server says it for certain.
TEST_F(RunLlamaFit, TellsAReasonFromAFailureWithoutOne) {
    const auto wrong = estimate({.program = program_,
                                 .model = testing::known_gguf(testing::GgufKind::Embedder),
                                 .flags = {"--cache-type-k", "nonsense"}});
    ASSERT_FALSE(wrong);
    EXPECT_EQ(wrong.error().code, Code::InvalidArgument);
    EXPECT_TRUE(wrong.error().message.contains("nonsense")) << wrong.error().message;
    const testing::WorkerFolder folder;
    folder.put("bad.gguf", "this is no model");
    const auto bad = estimate({.program = program_, .model = folder.path() / "bad.gguf"});
    ASSERT_FALSE(bad);
    const bool explained = bad.error().message.contains("error loading model");
    EXPECT_EQ(bad.error().code, explained ? Code::InvalidArgument : Code::BadUpstream);
}

TEST_F(RunLlamaFit, EndsAtTheDeadline) {
    const auto bytes = estimate({.program = program_, .model = "/dev/zero"}, Deadline::after(0s));
    ASSERT_FALSE(bytes);
    EXPECT_EQ(bytes.error().code, Code::DeadlineExceeded);
    EXPECT_EQ(estimate({.program = "/nowhere/llama-fit-params"}).error().code, Code::NotFound);
}

}  // namespace
}  // namespace hearth::worker
