#include <gtest/gtest.h>
#include <sys/stat.h>

#include "base/format.h"
#include "models/model.h"
#include "models/test_folder.h"

namespace hearth::models {
namespace {

// The tiny BERT configuration with one member replaced or added.
std::string with(std::string_view config, std::string_view member) {
    std::string text(config);
    text.back() = ',';
    return text + std::string(member) + "}";
}

std::string folder_refusal(const TestFolder& folder) {
    const auto config = read_encoder_config(folder.path());
    return config ? "accepted" : config.error().message;
}

std::string config_refusal(std::string_view text) {
    const TestFolder folder;
    folder.write("config.json", text);
    return folder_refusal(folder);
}

TEST(EncoderConfig, ReadsABertFolderOfSentenceTransformers) {
    const TestFolder folder;
    folder.write("config.json", kTinyBertConfig)
        .write("modules.json", R"([
          {"idx":0,"name":"0","path":"","type":"sentence_transformers.models.Transformer"},
          {"idx":1,"name":"1","path":"1_Pooling","type":"sentence_transformers.models.Pooling"},
          {"idx":2,"name":"2","path":"2_Normalize","type":"sentence_transformers.models.Normalize"}])")
        .write("1_Pooling/config.json", R"({"pooling_mode_cls_token":true,
                                            "pooling_mode_mean_tokens":false})")
        .write("sentence_bert_config.json", R"({"max_seq_length":16,"do_lower_case":false})")
        .write("config_sentence_transformers.json",
               R"({"prompts":{"query":"query: "},"default_prompt_name":"query"})");
    const auto config = read_encoder_config(folder.path());
    ASSERT_TRUE(config) << config.error().message;
    EXPECT_EQ(config->family, "bert");
    EXPECT_EQ(config->hidden, 8U);
    EXPECT_EQ(config->layers, 2U);
    EXPECT_EQ(config->heads, 2U);
    EXPECT_EQ(config->intermediate, 16U);
    EXPECT_EQ(config->vocabulary, 10U);
    EXPECT_EQ(config->token_types, 2U);
    EXPECT_EQ(config->positions_max, 32U);
    EXPECT_EQ(config->tokens_max, 16U);
    EXPECT_EQ(config->activation, "gelu");
    EXPECT_FLOAT_EQ(config->norm_epsilon, 1e-12F);
    EXPECT_EQ(config->rotary_base, 0);
    EXPECT_TRUE(config->qkv_bias);
    EXPECT_TRUE(config->mlp_bias);
    EXPECT_EQ(config->pooling, Pooling::Cls);
    EXPECT_TRUE(config->normalize);
    EXPECT_EQ(config->prompts.at("query"), "query: ");
    EXPECT_EQ(config->default_prompt, "query");
    EXPECT_FALSE(config->lower_case);
    EXPECT_TRUE(config->matryoshka.empty());
}

// The folder that setup fetches; a checkout without it has nothing to compare.
TEST(EncoderConfig, ReadsTheDefaultModelWhereItIsInstalled) {
    const char* folder = std::getenv("HEARTH_DEFAULT_MODEL");
    if (folder == nullptr) GTEST_SKIP() << "HEARTH_DEFAULT_MODEL is not set";
    const auto config = read_encoder_config(folder);
    ASSERT_TRUE(config) << config.error().message;
    EXPECT_EQ(config->hidden, 384U);
    EXPECT_EQ(config->layers, 6U);
    EXPECT_EQ(config->tokens_max, 256U);
    EXPECT_EQ(config->positions_max, 512U);
    EXPECT_TRUE(config->normalize);
}

TEST(EncoderConfig, ReadsNomicBert) {
    const TestFolder folder;
    folder.write("config.json", kTinyNomicConfig);
    const auto config = read_encoder_config(folder.path());
    ASSERT_TRUE(config) << config.error().message;
    EXPECT_EQ(config->hidden, 768U);
    EXPECT_EQ(config->intermediate, 3072U);
    EXPECT_EQ(config->positions_max, 8192U);
    EXPECT_EQ(config->tokens_max, 8192U);
    EXPECT_EQ(config->rotary_base, 1000);
    EXPECT_EQ(config->rotary_fraction, 1);
    EXPECT_FALSE(config->rotary_interleaved);
    EXPECT_FALSE(config->qkv_bias);
    EXPECT_FALSE(config->mlp_bias);
    EXPECT_EQ(config->activation, "swiglu");
}

TEST(EncoderConfig, ServesOnlyTheTrainedWindowWhenTheRotationIsScaled) {
    const TestFolder folder;
    folder.write("config.json", with(kTinyNomicConfig, R"("rotary_scaling_factor": 2)"));
    EXPECT_EQ(read_encoder_config(folder.path())->tokens_max, 2048U);
}

TEST(EncoderConfig, PoolsByTheMeanAndNormalisesWithoutModules) {
    const TestFolder folder;
    folder.write("config.json", kTinyBertConfig);
    const auto config = read_encoder_config(folder.path());
    ASSERT_TRUE(config);
    EXPECT_EQ(config->pooling, Pooling::Mean);
    EXPECT_TRUE(config->normalize);
    EXPECT_EQ(config->tokens_max, 32U);
}

TEST(EncoderConfig, TakesTheWindowOfTheTokenizerWhenNothingElseSaysOne) {
    const TestFolder folder;
    folder.write("config.json", kTinyBertConfig)
        .write("tokenizer_config.json", R"({"model_max_length":20})");
    EXPECT_EQ(read_encoder_config(folder.path())->tokens_max, 20U);
    folder.write("tokenizer_config.json",
                 R"({"model_max_length":1000000000000000019884624838656})");
    EXPECT_EQ(read_encoder_config(folder.path())->tokens_max, 32U);
    folder.write("sentence_bert_config.json", R"({"max_seq_length":64})");
    EXPECT_EQ(read_encoder_config(folder.path())->tokens_max, 32U);
}

TEST(EncoderConfig, SortsMatryoshkaDimensions) {
    const TestFolder folder;
    folder.write("config.json", with(kTinyBertConfig, R"("matryoshka_dimensions":[8,2,4,2])"));
    EXPECT_EQ(read_encoder_config(folder.path())->matryoshka, (std::vector<std::size_t>{2, 4, 8}));
    EXPECT_EQ(config_refusal(with(kTinyBertConfig, R"("matryoshka_dimensions":[9])")),
              "config.json: matryoshka_dimensions must be a list of at most 64 whole numbers from "
              "1 to 8, not 9");
}

TEST(EncoderConfig, SaysWhatIsMissing) {
    const TestFolder folder;
    EXPECT_EQ(read_encoder_config(folder.path() / "none").error().code, Code::NotFound);
    EXPECT_EQ(read_encoder_config(folder.path()).error().code, Code::NotFound);
    EXPECT_EQ(folder_refusal(folder), "config.json is missing");
    EXPECT_EQ(config_refusal("{}"), "config.json has no model_type");
    EXPECT_EQ(config_refusal(R"({"model_type":"bert"})"), "config.json has no hidden_size");
    folder.write("config.json", kTinyBertConfig)
        .write("modules.json", R"([{"type":"x.Transformer","path":""},
                                   {"type":"x.Pooling","path":"1_Pooling"}])");
    EXPECT_EQ(folder_refusal(folder), "1_Pooling/config.json is missing");
}

TEST(EncoderConfig, RefusesWhatTheEngineDoesNotDo) {
    const auto check = [](std::string_view text, std::string_view sentence) {
        const TestFolder folder;
        folder.write("config.json", text);
        const auto config = read_encoder_config(folder.path());
        ASSERT_FALSE(config);
        EXPECT_EQ(config.error().code, Code::Unsupported);
        EXPECT_EQ(config.error().message, sentence);
    };
    check(R"({"model_type":"llama"})",
          "config.json: model_type \"llama\" is not offered; bert and nomic_bert are");
    check(with(kTinyBertConfig, R"("hidden_act":"silu")"),
          "config.json: hidden_act \"silu\" is not offered; gelu, gelu_new and relu are");
    check(with(kTinyBertConfig, R"("is_decoder":true)"),
          "config.json: is_decoder is true; only encoders are served");
    check(with(kTinyNomicConfig, R"("use_rms_norm":true)"),
          "config.json: use_rms_norm is true, which is not offered");
    check(with(kTinyNomicConfig, R"("num_experts":8)"),
          "config.json: mixtures of experts are not offered");
}

TEST(EncoderConfig, RefusesAbsurdSizesAndWrongTypes) {
    const auto check = [](std::string_view member, std::string_view sentence) {
        EXPECT_EQ(config_refusal(with(kTinyBertConfig, member)), sentence);
    };
    check(R"("hidden_size":16384)", "accepted");
    check(R"("hidden_size":16386)",
          "config.json: hidden_size must be a whole number from 1 to 16384, not 16386");
    check(R"("hidden_size":0)",
          "config.json: hidden_size must be a whole number from 1 to 16384, not 0");
    check(R"("hidden_size":-8)",
          "config.json: hidden_size must be a whole number from 1 to 16384, not -8");
    check(R"("hidden_size":8.5)",
          "config.json: hidden_size must be a whole number from 1 to 16384, not 8.5");
    check(R"("hidden_size":"8")",
          "config.json: hidden_size must be a whole number from 1 to 16384, not \"8\"");
    check(R"("hidden_size":[8])",
          "config.json: hidden_size must be a whole number from 1 to 16384, not a list");
    check(R"("hidden_size":true)",
          "config.json: hidden_size must be a whole number from 1 to 16384, not true");
    check(R"("hidden_size":9)", "config.json: a hidden size of 9 cannot be divided by 2 heads");
    check(R"("layer_norm_eps":1)",
          "config.json: layer_norm_eps must be a number from 1e-30 to 0.1, not 1");
    check(R"("model_type":{})", "config.json: model_type must be a string, not an object");
}

TEST(EncoderConfig, RefusesHostileJson) {
    EXPECT_EQ(config_refusal("[]"), "config.json must hold a JSON object, not a list");
    EXPECT_EQ(config_refusal(""), "config.json is not valid JSON: incomplete JSON at byte 0");
    EXPECT_TRUE(config_refusal(std::string(100'000, '[')).contains("too deep"));
    EXPECT_EQ(config_refusal(std::string((4 << 20) + 1, ' ')),
              "config.json is 4194305 bytes long; at most 4194304 are read");
    EXPECT_TRUE(config_refusal("{\"model_type\":\"\xFF\"}").contains("not valid JSON"));
}

TEST(EncoderConfig, DoesNotHangOnAPipe) {
    const TestFolder folder;
    ASSERT_EQ(::mkfifo((folder.path() / "config.json").c_str(), 0600), 0);
    EXPECT_EQ(folder_refusal(folder), "config.json is not a regular file");
}

TEST(EncoderConfig, RefusesModulesItCannotFollow) {
    const auto check = [](std::string_view modules, std::string_view sentence) {
        const TestFolder folder;
        folder.write("config.json", kTinyBertConfig).write("modules.json", modules);
        EXPECT_EQ(folder_refusal(folder), sentence);
    };
    check("{}", "modules.json must hold a list of modules, not an object");
    check("[]", "modules.json must hold a list of modules, not a list");
    check("[1]", "modules.json: every module must be an object with the strings type and path");
    check(R"([{"type":"x.Transformer","path":""},{"type":"x.Dense","path":"2_Dense"}])",
          "modules.json: a module of type \"Dense\" is not offered");
    check(R"([{"type":"x.Transformer","path":""},{"type":"x.Pooling","path":"../secret"}])",
          "modules.json: the path \"../secret\" must be the name of a folder beside it");
    check(R"([{"type":"x.Pooling","path":""}])",
          "modules.json: exactly the first module must be a Transformer");
    check(R"([{"type":"x.Transformer","path":"0_T"}])",
          "modules.json: the transformer lies in a folder of its own");
}

TEST(EncoderConfig, RefusesPoolingThatIsNotOffered) {
    const auto check = [](std::string_view pooling, std::string_view sentence) {
        const TestFolder folder;
        folder.write("config.json", kTinyBertConfig)
            .write("modules.json", R"([{"type":"x.Transformer","path":""},
                                       {"type":"x.Pooling","path":"1_Pooling"}])")
            .write("1_Pooling/config.json", pooling);
        EXPECT_EQ(folder_refusal(folder), sentence);
    };
    check(R"({"pooling_mode_lasttoken":true})", "accepted");
    check(R"({"pooling_mode":"mean"})", "accepted");
    check(R"({"pooling_mode_max_tokens":true})",
          "pooling: mode \"max\" is not offered; mean, cls and lasttoken are");
    check("{}", "1_Pooling/config.json: no pooling mode is on");
    check(R"({"pooling_mode_mean_tokens":true,"pooling_mode_cls_token":true})",
          "1_Pooling/config.json: several pooling modes are on; one may be");
    check(R"({"pooling_mode_mean_tokens":1})",
          "1_Pooling/config.json: pooling_mode_mean_tokens must be true or false, not 1");
}

TEST(EncoderConfig, RefusesADefaultPromptThatIsNoPrompt) {
    const TestFolder folder;
    folder.write("config.json", kTinyBertConfig)
        .write("config_sentence_transformers.json", R"({"default_prompt_name":"query"})");
    EXPECT_EQ(folder_refusal(folder),
              "config_sentence_transformers.json: default_prompt_name \"query\" is "
              "none of its prompts");
}

}  // namespace
}  // namespace hearth::models
