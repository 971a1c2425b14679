#include "backends/worker/llama_flags.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace hearth::worker {
namespace {

using Flags = std::vector<std::string>;

bool has(const Flags& flags, const std::string& name) {
    return std::ranges::find(flags, name) != flags.end();
}

// What follows the flag; empty when it is not there.
std::string value_of(const Flags& flags, const std::string& name) {
    const auto found = std::ranges::find(flags, name);
    return found == flags.end() || found + 1 == flags.end() ? std::string() : *(found + 1);
}

TEST(LlamaFlags, GiveTheContextThatIsAskedElseTheTrainedUpToABound) {
    EXPECT_EQ(context_of({.context_trained = 512}, {}), 512U);
    EXPECT_EQ(context_of({.context_trained = kContextMax + 1}, {}), kContextMax);
    EXPECT_EQ(context_of({}, {}), kContextMax);
    EXPECT_EQ(context_of({.context_trained = 512}, {.context = 100'000}), 100'000U);
}

TEST(LlamaFlags, LetAnswersShareOneContext) {
    const Flags flags =
        llama_flags({.name = "m", .context_trained = 4096},
                    {.parallel = 8, .threads = 3, .kv_type = "q8_0", .prompt_cache_mib = 64});
    EXPECT_TRUE(has(flags, "--kv-unified"));
    EXPECT_EQ(value_of(flags, "--parallel"), "8");
    EXPECT_EQ(value_of(flags, "--ctx-size"), "4096");
    EXPECT_EQ(value_of(flags, "--batch-size"), "2048");
    EXPECT_EQ(value_of(flags, "--ubatch-size"), "512");
    EXPECT_EQ(value_of(flags, "--cache-type-k"), "q8_0");
    EXPECT_EQ(value_of(flags, "--cache-type-v"), "q8_0");
    EXPECT_EQ(value_of(flags, "--threads"), "3");
    EXPECT_EQ(value_of(flags, "--cache-ram"), "64");
    EXPECT_EQ(value_of(llama_flags({}, {}), "--cache-ram"), "0");
    EXPECT_FALSE(has(llama_flags({}, {.prompt_cache_mib = 0}), "--cache-ram"));
    EXPECT_EQ(value_of(flags, "--alias"), "m");
    EXPECT_TRUE(has(flags, "--metrics"));
    EXPECT_TRUE(has(flags, "--offline"));
    for (const char* absent : {"--embedding", "--model", "--host", "--mmproj", "--lora", "--rpc",
                               "--device", "--gpu-layers"}) {
        EXPECT_FALSE(has(flags, absent)) << absent;
    }
}

TEST(LlamaFlags, GiveEveryTextOfAnEmbedderItsWholeWindow) {
    const Flags flags = llama_flags({.name = "e", .context_trained = 512, .embeds = true},
                                    {.parallel = 4, .prompt_cache_mib = 64});
    EXPECT_TRUE(has(flags, "--embedding"));
    EXPECT_EQ(value_of(flags, "--parallel"), "4");
    EXPECT_EQ(value_of(flags, "--ctx-size"), "2048");
    EXPECT_EQ(value_of(flags, "--batch-size"), "512");
    EXPECT_EQ(value_of(flags, "--ubatch-size"), "512");
    EXPECT_EQ(value_of(llama_flags({.embeds = true}, {.parallel = 32}), "--parallel"), "16");
    EXPECT_FALSE(has(flags, "--kv-unified"));
    EXPECT_FALSE(has(flags, "--cache-ram"));
}

TEST(LlamaFlags, StartARerankerAsOneAndSizeItLikeAnEmbedder) {
    const LlamaSettings settings{.parallel = 4, .prompt_cache_mib = 64};
    const LlamaModel embedder{.name = "m", .context_trained = 512, .embeds = true};
    const LlamaModel reranker{.name = "m", .context_trained = 512, .reranks = true};
    const Flags flags = llama_flags(reranker, settings);
    EXPECT_TRUE(has(flags, "--rerank"));
    EXPECT_FALSE(has(flags, "--embedding"));
    EXPECT_FALSE(has(flags, "--kv-unified"));
    EXPECT_EQ(llama_memory_flags(reranker, settings), llama_memory_flags(embedder, settings));
    EXPECT_EQ(context_max_of(reranker, {.context = 128}), 128U);
}

TEST(LlamaFlags, SayEachThingOnceAndTheOwnersFlagsLast) {
    const Flags flags =
        llama_flags({.name = "m", .projector = "/p.gguf", .adapters = {"/a.gguf", "/b.gguf"}},
                    {.gpu_layers = "20",
                     .devices = "CUDA1",
                     .rpc = {"a:1", "b:2"},
                     .more = {"--no-warmup", "--seed", "7"}});
    EXPECT_EQ(value_of(flags, "--mmproj"), "/p.gguf");
    EXPECT_EQ(std::ranges::count(flags, "--lora"), 2);
    EXPECT_EQ(value_of(flags, "--gpu-layers"), "20");
    EXPECT_EQ(value_of(flags, "--device"), "CUDA1");
    EXPECT_EQ(value_of(flags, "--rpc"), "a:1,b:2");
    EXPECT_EQ(Flags(flags.end() - 3, flags.end()), (Flags{"--no-warmup", "--seed", "7"}));
    for (const std::string& flag : flags) {
        if (!flag.starts_with("--") || flag == "--lora") continue;
        EXPECT_EQ(std::ranges::count(flags, flag), 1) << flag;
    }
}

TEST(LlamaFlags, OfMemoryAreThoseThatTheEstimateKnows) {
    const LlamaSettings settings{.parallel = 8, .gpu_layers = "0", .more = {"--no-warmup"}};
    const Flags flags = llama_memory_flags({.name = "m", .context_trained = 4096}, settings);
    EXPECT_EQ(flags, (Flags{"--parallel", "1", "--ctx-size", "4096", "--batch-size", "2048",
                            "--ubatch-size", "512", "--cache-type-k", "f16", "--cache-type-v",
                            "f16", "--gpu-layers", "0"}));
    const Flags windows =
        llama_memory_flags({.context_trained = 4096, .has_sequence_state = true}, settings);
    EXPECT_EQ(value_of(windows, "--parallel"), "8");
    EXPECT_EQ(value_of(windows, "--ctx-size"), "4096");
    const Flags embedder = llama_memory_flags({.context_trained = 512, .embeds = true}, settings);
    EXPECT_EQ(value_of(embedder, "--parallel"), "8");
    EXPECT_EQ(value_of(embedder, "--ctx-size"), "4096");
}

}  // namespace
}  // namespace hearth::worker
