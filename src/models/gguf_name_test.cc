#include "models/gguf_name.h"

#include <gtest/gtest.h>

namespace hearth::models {
namespace {

std::string said(std::string_view file) {
    const auto found = parse_gguf_file_name(file);
    if (!found) return "none";
    std::string text = found->name + "|" + found->quantisation;
    if (found->parts > 0) {
        text += "|" + std::to_string(found->part) + "/" + std::to_string(found->parts);
    }
    return text + (found->is_projector ? "|projector" : "");
}

TEST(GgufName, NamesAndQuantisationsArePulledApart) {
    EXPECT_EQ(said("qwen2.5-coder-0.5b-instruct-q4_k_m.gguf"),
              "qwen2.5-coder-0.5b-instruct|q4_k_m");
    EXPECT_EQ(said("llama-2-7b.Q4_K_M.gguf"), "llama-2-7b|Q4_K_M");
    EXPECT_EQ(said("Qwen3-8B-UD-Q4_K_XL.gguf"), "Qwen3-8B|UD-Q4_K_XL");
    EXPECT_EQ(said("Phi-3-mini-4k-instruct-q4.GGUF"), "Phi-3-mini-4k-instruct|q4");
    EXPECT_EQ(said("nomic-embed-text-v1.5.f16.gguf"), "nomic-embed-text-v1.5|f16");
    EXPECT_EQ(said("gpt-oss-20b-mxfp4.gguf"), "gpt-oss-20b|mxfp4");
    EXPECT_EQ(said("tinyllama.gguf"), "tinyllama|");
    EXPECT_EQ(said("model-v1.5.gguf"), "model-v1.5|");
    EXPECT_EQ(said("q4_0.gguf"), "q4_0|");
    EXPECT_EQ(said("model.safetensors"), "none");
    EXPECT_EQ(said(".gguf"), "none");
}

TEST(GgufName, PartsOfSplitFilesAreNumbered) {
    EXPECT_EQ(said("big-Q8_0-00002-of-00003.gguf"), "big|Q8_0|2/3");
    EXPECT_EQ(said("big-00001-of-00002.gguf"), "big||1/2");
    EXPECT_EQ(said("big-0001-of-0002.gguf"), "big-0001-of-0002|");
    EXPECT_EQ(gguf_part_name("big", 2, 3), "big-00002-of-00003.gguf");
}

TEST(GgufName, ProjectorsNameTheirModel) {
    EXPECT_EQ(said("mmproj-gemma-3-4b-it-f16.gguf"), "gemma-3-4b-it|f16|projector");
    EXPECT_EQ(said("Qwen2.5-VL-7B-mmproj-F16.gguf"), "Qwen2.5-VL-7B|F16|projector");
    EXPECT_EQ(said("mmproj.gguf"), "||projector");
    EXPECT_EQ(said("mmproj-F16.gguf"), "|F16|projector");
}

TEST(GgufName, KnowsQuantisationsFromOtherWords) {
    for (const auto* yes : {"Q4_K_M", "q8_0", "IQ4_XS", "iq2_xxs", "TQ1_0", "Q4_0_4_4", "BF16",
                            "f32", "Q3_K_XL", "mxfp4_moe", "UD-IQ1_S", "Q6_K"}) {
        EXPECT_TRUE(is_quantisation(yes)) << yes;
    }
    for (const auto* no : {"", "latest", "7b", "q", "Q4_", "Q4__0", "Q4_K_HUGE", "instruct", "v1",
                           "qwen", "UD-", "quantised", "q4_0_0_0_0_0_0_0_0_0_0_0_0"}) {
        EXPECT_FALSE(is_quantisation(no)) << no;
    }
}

TEST(GgufName, OrdersTheUsualOnesFirst) {
    EXPECT_LT(quantisation_rank("q4_K_m"), quantisation_rank("Q8_0"));
    EXPECT_LT(quantisation_rank("Q8_0"), quantisation_rank("F32"));
    EXPECT_LT(quantisation_rank("F32"), quantisation_rank("IQ1_S"));
}

}  // namespace
}  // namespace hearth::models
