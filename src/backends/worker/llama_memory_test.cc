#include "backends/worker/llama_memory.h"

#include <gtest/gtest.h>

#include <boost/asio/io_context.hpp>

#include "backends/worker/llama_flags.h"
#include "base/format.h"
#include "testing/run.h"
#include "testing/served_llama.h"

namespace hearth::worker {
namespace {

using namespace std::chrono_literals;

// The tiny text model, as it would be loaded with 512 tokens of context.
class LlamaMemoryTest : public ::testing::Test {
  protected:
    void SetUp() override {
        if (!testing::can_run_llama()) GTEST_SKIP() << "./dev setup has not built llama.cpp";
    }
    LlamaMemoryOptions options() const {
        return {.model = "tiny",
                .fit = {.program = testing::llama_program("llama-fit-params"),
                        .model = testing::known_gguf(testing::GgufKind::Text),
                        .flags = llama_memory_flags({.context_trained = 4096},
                                                    {.context = 512, .micro_batch = 32})},
                .weights = 1 << 20,
                .more_bytes = 7 * kMib,
                .ledger = &ledger_,
                .context = 512,
                .context_max = 4096};
    }
    Result<DeviceBytes> plan(LlamaMemory& memory) {
        return testing::run(io_, memory.plan(io_), 20s);
    }
    Result<std::size_t> grow(LlamaMemory& memory, std::size_t tokens) {
        return testing::run(io_, memory.grow(io_, tokens), 20s);
    }

    const MemoryLedger ledger_{{{"host", 1000 * kMib}}, 1s};
    boost::asio::io_context io_;
};

TEST_F(LlamaMemoryTest, AGrownContextTakesMoreFromTheNextStartOn) {
    LlamaMemoryOptions described = options();
    described.context_max = 1 << 16;
    LlamaMemory memory(described);
    const auto small = plan(memory);
    ASSERT_TRUE(small) << small.error().message;
    EXPECT_GT(small->at("host"), 7 * kMib);
    EXPECT_TRUE(memory.planned_flags().empty());

    EXPECT_EQ(grow(memory, 60'000).value_or(0), 60'000U);
    EXPECT_EQ(memory.planned_context(), 512U) << "of the process there is";
    const auto large = plan(memory);
    ASSERT_TRUE(large);
    EXPECT_GT(large->at("host"), small->at("host"));
    EXPECT_EQ(memory.planned_context(), 60'416U);
    EXPECT_EQ(memory.planned_flags(), (std::vector<std::string>{"--ctx-size", "60416"}));

    EXPECT_EQ(grow(memory, 600).value_or(0), 600U) << "it is there already";
    EXPECT_EQ(*plan(memory), *large);
}

TEST_F(LlamaMemoryTest, PastPromptsGetAsMuchAsTheContextAndItIsCounted) {
    LlamaMemoryOptions described = options();
    described.context_max = 1 << 16;
    LlamaMemory without(described);
    described.prompt_cache_mib = 0;
    LlamaMemory memory(described);
    ASSERT_TRUE(grow(without, 60'000));
    ASSERT_TRUE(grow(memory, 60'000));
    const std::uint64_t alone = plan(without)->at("host");
    const std::uint64_t cache = plan(memory)->at("host") - alone;
    EXPECT_GT(cache, 10 * kMib);
    EXPECT_EQ(memory.planned_flags(),
              (std::vector<std::string>{"--ctx-size", "60416", "--cache-ram",
                                        format("{}", cache / kMib)}));
    described.prompt_cache_mib = 2;
    LlamaMemory bounded(described);
    ASSERT_TRUE(grow(bounded, 60'000));
    EXPECT_EQ(plan(bounded)->at("host") - alone, cache) << "one state is always kept";
    EXPECT_EQ(bounded.planned_flags(), (std::vector<std::string>{"--ctx-size", "60416"}));
}

TEST_F(LlamaMemoryTest, AModelThatFitsOnlyWithoutPastPromptsGetsNone) {
    LlamaMemoryOptions described = options();
    LlamaMemory without(described);
    const DeviceBytes alone = *plan(without);
    const MemoryLedger poor(alone, 1s);
    described.ledger = &poor;
    described.prompt_cache_mib = 0;
    LlamaMemory memory(described);
    EXPECT_EQ(*plan(memory), alone);
    EXPECT_EQ(memory.planned_flags(), (std::vector<std::string>{"--cache-ram", "0"}));
}

TEST_F(LlamaMemoryTest, NobodyGetsMoreThanTheModelWasTrainedFor) {
    LlamaMemory memory(options());
    EXPECT_EQ(grow(memory, 1'000'000).value_or(0), 4096U);
    ASSERT_TRUE(plan(memory));
    EXPECT_EQ(memory.planned_context(), 4096U);
}

TEST_F(LlamaMemoryTest, AContextOverTheBudgetIsRefusedAndChangesNothing) {
    const MemoryLedger poor({{"host", 8 * kMib}}, 1s);
    LlamaMemoryOptions described = options();
    described.ledger = &poor;
    LlamaMemory memory(described);
    const auto refused = grow(memory, 4096);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, Code::TooLarge);
    EXPECT_TRUE(refused.error().message.contains("smaller context")) << refused.error().message;
    ASSERT_TRUE(plan(memory));
    EXPECT_EQ(memory.planned_context(), 512U);
}

TEST_F(LlamaMemoryTest, AContextThatCannotBeHadIsGivenUp) {
    testing::TestGateway gateway;
    auto memory = std::make_shared<LlamaMemory>(options());
    WorkerOptions worker =
        testing::llama_options(testing::GgufKind::Text, {.name = "tiny", .context_trained = 512});
    worker.late_arguments = [memory]() -> std::vector<std::string> {
        if (memory->planned_context() > 1024) return {"--no-such-flag"};
        return memory->planned_flags();
    };
    worker.estimate_memory = [memory](boost::asio::io_context& io) { return memory->plan(io); };
    worker.refused_time = 50ms;
    MemoryLedger ledger({{"host", 1000 * kMib}}, 1s);
    worker.ledger = &ledger;
    testing::Served model(gateway, std::move(worker), {.memory = memory});
    ASSERT_TRUE(model.load({.context_min = 1024}));
    EXPECT_EQ(memory->planned_context(), 1024U);
    const auto refused = model.load({.context_min = 4096});
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, Code::Unavailable) << refused.error().message;
    EXPECT_TRUE(testing::eventually([&] { return model.load({}).has_value(); }, 20s));
    EXPECT_EQ(memory->planned_context(), 1024U);
}

TEST_F(LlamaMemoryTest, WithoutItsProgramTheWeightsAreAGuess) {
    LlamaMemoryOptions described = options();
    described.fit.program = "/nowhere/llama-fit-params";
    LlamaMemory memory(described);
    EXPECT_EQ(plan(memory)->at("host"), (1 + 256 + 7) * kMib);
}

TEST_F(LlamaMemoryTest, ARequestWaitsForTheContextItAsksFor) {
    testing::TestGateway gateway;
    auto memory = std::make_shared<LlamaMemory>(options());
    WorkerOptions worker =
        testing::llama_options(testing::GgufKind::Text, {.name = "tiny", .context_trained = 512});
    worker.late_arguments = [memory] { return memory->planned_flags(); };
    worker.estimate_memory = [memory](boost::asio::io_context& io) { return memory->plan(io); };
    MemoryLedger ledger({{"host", 1000 * kMib}}, 1s);
    worker.ledger = &ledger;
    testing::Served model(gateway, std::move(worker), {.memory = memory});

    std::string words;
    for (int i = 0; i < 600; ++i) words += "word ";
    testing::RecordingSink short_sink;
    const auto refused = model.generate(testing::chat(words, 4), short_sink);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().reason, "context_length_exceeded");
    const int first = model.pid();

    auto request = testing::chat(words, 4);
    request.context_min = 2048;
    testing::RecordingSink sink;
    const auto answered = model.generate(request, sink);
    ASSERT_TRUE(answered) << answered.error().message;
    const int second = model.pid();
    EXPECT_NE(first, second);

    testing::RecordingSink again;
    request.context_min = 1024;
    ASSERT_TRUE(model.generate(request, again));
    EXPECT_EQ(model.pid(), second) << "a process that has room is not loaded again";
}

}  // namespace
}  // namespace hearth::worker
