#include "models/gguf_model.h"

#include <gtest/gtest.h>

#include "base/format.h"
#include "models/test_folder.h"
#include "models/test_gguf.h"

namespace hearth::models {
namespace {

using Words = std::vector<std::string>;

Result<Model> read_model_file(const TestFolder& folder, std::string_view file) {
    return read_gguf_model({.file = folder.path() / file}, "m:latest");
}

std::string model_refusal(const std::string& file) {
    const TestFolder folder;
    folder.write("m.gguf", file);
    const auto model = read_model_file(folder, "m.gguf");
    return model ? "accepted" : model.error().message;
}

Words capabilities(const GgufWriter& writer, GgufModel gguf = {}) {
    const TestFolder folder;
    folder.write("m.gguf", writer.file()).write("mmproj.gguf", projector_file());
    gguf.file = folder.path() / "m.gguf";
    if (!gguf.projector.empty()) gguf.projector = folder.path() / gguf.projector;
    const auto model = read_gguf_model(std::move(gguf), "m:latest");
    return model ? model->capabilities : Words{model.error().message};
}

TEST(GgufModel, IsDescribedByItsHeader) {
    const TestFolder folder;
    folder.write("m.gguf", llama_file());
    const auto model = read_model_file(folder, "m.gguf");
    ASSERT_TRUE(model) << model.error().message;
    EXPECT_EQ(model->name, "m:latest");
    EXPECT_EQ(model->family, "llama");
    EXPECT_EQ(model->format, "gguf");
    EXPECT_EQ(model->precision, "Q4_K_M");
    EXPECT_EQ(model->parameters, 128U);
    EXPECT_EQ(model->context_length, 4096U);
    EXPECT_EQ(model->embedding_length, 32U);
    EXPECT_EQ(model->size_bytes, llama_file().size());
    EXPECT_GT(model->modified_unix_ns, 0);
    EXPECT_EQ(model->folder, folder.path());
    EXPECT_EQ(model->gguf->file, folder.path() / "m.gguf");
    EXPECT_FALSE(model->gguf->has_chat_template);
    EXPECT_EQ(model->capabilities, Words{"completion"});
}

TEST(GgufModel, TheDigestFollowsTheContentAndNotThePlace) {
    const TestFolder folder;
    std::string other = llama_file();
    other.back() = 1;
    folder.write("a.gguf", llama_file()).write("b/c.gguf", llama_file()).write("d.gguf", other);
    const std::string digest = read_model_file(folder, "a.gguf")->digest;
    EXPECT_EQ(digest.size(), 64U);
    EXPECT_EQ(read_model_file(folder, "b/c.gguf")->digest, digest);
    EXPECT_NE(read_model_file(folder, "d.gguf")->digest, digest);
}

TEST(GgufModel, EncodersEmbed) {
    EXPECT_EQ(capabilities(llama_gguf().number("llama.pooling_type", GgufType::U32, 1U)),
              Words{"embedding"});
    EXPECT_EQ(capabilities(GgufWriter()
                               .text("general.architecture", "nomic-bert")
                               .text("tokenizer.chat_template", "tools")
                               .tensor("t", kF32Tensor, {8})),
              Words{"embedding"});
}

TEST(GgufModel, RerankersAreKnownByTheirPooling) {
    const auto bert = [](std::uint32_t pooling) {
        return capabilities(GgufWriter()
                                .text("general.architecture", "bert")
                                .number("bert.pooling_type", GgufType::U32, pooling)
                                .tensor("t", kF32Tensor, {8}));
    };
    EXPECT_EQ(bert(4), Words{"rerank"});
    EXPECT_EQ(bert(3), Words{"embedding"});
    EXPECT_EQ(bert(5), Words{"embedding"});
    EXPECT_EQ(capabilities(llama_gguf().number("llama.pooling_type", GgufType::U32, 4U)),
              Words{"rerank"});
}

TEST(GgufModel, TheChatTemplateDecidesOnToolsAndThinking) {
    const auto with = [](std::string_view chat) {
        return capabilities(llama_gguf().text("tokenizer.chat_template", chat));
    };
    EXPECT_EQ(with("{{ messages }}"), Words{"completion"});
    EXPECT_EQ(with("{% if tools %}"), (Words{"completion", "tools"}));
    EXPECT_EQ(with("{{ '<think>' }}"), (Words{"completion", "thinking"}));
    EXPECT_EQ(with("{% if enable_thinking %}{{ tools }}"),
              (Words{"completion", "tools", "thinking"}));
    const GgufModel stored{.ollama_template = "{{ .Suffix }}{{ .Tools }}{{ .Thinking }}"};
    EXPECT_EQ(capabilities(llama_gguf(), stored),
              (Words{"completion", "tools", "insert", "thinking"}));
}

TEST(GgufModel, FillsInTheMiddleWithAllThreeTokens) {
    const auto with = [](const Words& tokens) {
        return capabilities(llama_gguf().texts("tokenizer.ggml.tokens", tokens));
    };
    const Words insert = {"completion", "insert"};
    EXPECT_EQ(with({"a", "<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>"}), insert);
    EXPECT_EQ(with({"<MID>", "▁<PRE>", "▁<SUF>"}), insert);
    EXPECT_EQ(with({"<fim_prefix>", "<fim_suffix>"}), Words{"completion"});
    EXPECT_EQ(with({"fim_prefix", "fim_suffix", "fim_middle"}), Words{"completion"});
    EXPECT_EQ(capabilities(llama_gguf()
                               .number("tokenizer.ggml.fim_pre_token_id", GgufType::U32, 1U)
                               .number("tokenizer.ggml.suffix_token_id", GgufType::U32, 2U)
                               .texts("tokenizer.ggml.tokens", {"<fim_middle>"})),
              insert);
}

TEST(GgufModel, WindowsAndStatesAreKeptForEachSequence) {
    const auto keeps = [](const GgufWriter& file) {
        const TestFolder folder;
        folder.write("m.gguf", file.file());
        return read_model_file(folder, "m.gguf")->gguf->has_sequence_state;
    };
    EXPECT_FALSE(keeps(llama_gguf()));
    EXPECT_FALSE(keeps(llama_gguf().number("llama.attention.sliding_window", GgufType::U32, 0U)));
    EXPECT_TRUE(keeps(llama_gguf().number("llama.attention.sliding_window", GgufType::U32, 512U)));
    EXPECT_TRUE(keeps(llama_gguf().number("llama.ssm.state_size", GgufType::U32, 16U)));
}

TEST(GgufModel, AProjectorSees) {
    const GgufModel with_projector{.projector = "mmproj.gguf"};
    EXPECT_EQ(capabilities(llama_gguf(), with_projector), (Words{"completion", "vision"}));
    EXPECT_EQ(capabilities(llama_gguf().number("llama.vision.block_count", GgufType::U32, 1U)),
              (Words{"completion", "vision"}));
    EXPECT_EQ(capabilities(llama_gguf(), {.projector = "m.gguf"}), Words{"m.gguf is no projector"});
    EXPECT_EQ(capabilities(llama_gguf(), {.projector = "none.gguf"}),
              Words{"none.gguf is missing"});
}

TEST(GgufModel, PartsAreOneModel) {
    const TestFolder folder;
    std::uint64_t bytes = 0;
    for (std::uint16_t part = 1; part <= 3; ++part) {
        const std::string file = part_file(part, 3);
        bytes += file.size();
        folder.write(format("m-0000{}-of-00003.gguf", part), file);
    }
    const auto model = read_model_file(folder, "m-00001-of-00003.gguf");
    ASSERT_TRUE(model) << model.error().message;
    EXPECT_EQ(model->size_bytes, bytes);
    EXPECT_EQ(model->parameters, 24U);
    EXPECT_EQ(model->precision, "F32");
}

TEST(GgufModel, RefusesPartsThatAreMissingOrMixedUp) {
    const TestFolder folder;
    const std::string first = "m-00001-of-00002.gguf";
    const auto reason = [&] { return read_model_file(folder, first).error().message; };
    folder.write(first, part_file(1, 2));
    EXPECT_EQ(reason(), "part 2 of 2 is missing: m-00002-of-00002.gguf");
    folder.write("m-00002-of-00002.gguf", part_file(1, 2));
    EXPECT_EQ(reason(), "m-00002-of-00002.gguf is not part 2 of this model");
    folder.write("m-00002-of-00002.gguf", "GG");
    EXPECT_EQ(reason(), "m-00002-of-00002.gguf: its header ends in the middle of a number");
    folder.write(first, part_file(1, 3));
    EXPECT_TRUE(reason().starts_with("its header says 3 parts, its name 2; ")) << reason();
    folder.write(first, llama_file());
    EXPECT_TRUE(reason().starts_with("its header says 0 parts, its name 2; ")) << reason();
    folder.write("m.gguf", part_file(1, 2));
    EXPECT_TRUE(
        read_model_file(folder, "m.gguf").error().message.starts_with("its header says 2 parts, "));
    folder.write("m-00001-of-60000.gguf", part_file(1, 60000));
    EXPECT_EQ(read_model_file(folder, "m-00001-of-60000.gguf").error().message,
              "it has 60000 parts; at most 512 are read");
}

TEST(GgufModel, RefusesWhatIsNoModelByItself) {
    EXPECT_EQ(model_refusal("GGUF"), "m.gguf: its header ends in the middle of a number");
    EXPECT_EQ(model_refusal(""), "m.gguf is empty");
    EXPECT_EQ(model_refusal(projector_file()), "it is a projector for images, no model by itself");
    EXPECT_EQ(model_refusal(GgufWriter().text("general.architecture", "llama").file()),
              "it holds no tensors");
    EXPECT_EQ(model_refusal(llama_gguf().text("general.type", "adapter").file()),
              "it is an adapter, no model by itself");
    for (const std::string& name : {std::string(), std::string("LLAMA"), std::string("a\nb"),
                                    std::string("../a"), std::string(65, 'a')}) {
        EXPECT_EQ(model_refusal(
                      GgufWriter().text("general.architecture", name).tensor("t", 0, {8}).file()),
                  "general.architecture is missing or no name");
    }
}

// A store with one model whose layers a test chooses.
class StoreModel : public testing::Test {
  protected:
    StoreModel() { add(kModelLayer, llama_file()); }
    void add(std::string_view media_type, std::string_view content) {
        manifest_.layers.push_back(*store_.put_bytes(content, media_type));
    }
    Result<Model> read_model_file() {
        const auto name = *ModelName::parse("m");
        EXPECT_TRUE(store_.write_manifest(name, encode_manifest(manifest_)));
        return read_store_model(store_, name);
    }
    std::string reason() {
        const auto model = read_model_file();
        return model ? "accepted" : model.error().message;
    }

    const TestFolder folder_;
    const Store store_{folder_.path()};
    Manifest manifest_;
};

TEST_F(StoreModel, HasTheTextsOfItsManifest) {
    add(kProjectorLayer, projector_file());
    add(kSystemLayer, "Be brief.\xFF");
    add(kTemplateLayer, "{{ .Prompt }}{{ .Suffix }}");
    add(kParametersLayer, R"({"temperature": 0.5, "stop": ["x"]})");
    add(kMessagesLayer, R"([{"role":"user","content":"hi"}])");
    add(kLicenseLayer, "MIT");
    add(kLicenseLayer, "Apache");
    add("application/vnd.ollama.image.unheard-of", "x");
    const auto model = read_model_file();
    ASSERT_TRUE(model) << model.error().message;
    EXPECT_EQ(model->name, "m:latest");
    EXPECT_EQ(model->capabilities, (Words{"completion", "insert", "vision"}));
    EXPECT_EQ(model->gguf->system, "Be brief.\xEF\xBF\xBD");
    EXPECT_EQ(model->gguf->ollama_template, "{{ .Prompt }}{{ .Suffix }}");
    EXPECT_EQ(model->gguf->parameters, R"({"temperature": 0.5, "stop": ["x"]})");
    EXPECT_EQ(model->gguf->messages, R"([{"role":"user","content":"hi"}])");
    EXPECT_EQ(model->gguf->license, "MIT\nApache");
    EXPECT_EQ(model->gguf->manifest_digest,
              sha256_hex(*store_.read_manifest_text(*ModelName::parse("m"))));
    EXPECT_EQ(model->size_bytes, manifest_.size());
    EXPECT_GT(model->modified_unix_ns, 0);
}

TEST_F(StoreModel, BearsTheDigestOfWhatDecidesItsAnswers) {
    const std::string blob = sha256_hex(llama_file());
    EXPECT_EQ(read_model_file()->digest, blob);
    add(kSystemLayer, "Be brief.");
    EXPECT_EQ(read_model_file()->digest, blob);
    add(kAdapterLayer, llama_file());
    const auto adapted = read_model_file();
    ASSERT_TRUE(adapted) << adapted.error().message;
    EXPECT_NE(adapted->digest, blob);
    EXPECT_EQ(adapted->gguf->adapters.size(), 1U);
}

TEST_F(StoreModel, RefusesManifestsThatLie) {
    manifest_.layers[0].size += 1;
    EXPECT_TRUE(reason().contains(" bytes; the manifest says ")) << reason();
    manifest_.layers[0].size = std::uint64_t{1} << 44;
    EXPECT_TRUE(reason().contains("the manifest says 17592186044416")) << reason();
    manifest_.layers[0].media_type = "application/vnd.ollama.image.tensor";
    EXPECT_EQ(reason(), "its manifest names no model file");
}

TEST_F(StoreModel, RefusesBlobsThatAreGone) {
    ASSERT_TRUE(read_model_file());
    const Digest digest = manifest_.layers[0].digest;
    std::filesystem::remove(store_.blob_path(digest));
    std::filesystem::create_symlink(digest.file_name(), store_.blob_path(digest));
    const auto model = read_store_model(store_, *ModelName::parse("m"));
    EXPECT_EQ(model.error().message, format("blob {} is missing", digest.text()));
}

TEST_F(StoreModel, RefusesTextsThatAreTooLongOrOfAnotherKind) {
    const Manifest whole = manifest_;
    const auto with = [&](std::string_view media_type, std::string_view content) {
        manifest_ = whole;
        add(media_type, content);
        return reason();
    };
    EXPECT_EQ(with(kSystemLayer, std::string(1 << 20, 'x')), "accepted");
    EXPECT_EQ(with(kSystemLayer, std::string((1 << 20) + 1, 'x')),
              "its system is 1048577 bytes long; at most 1048576 are read");
    EXPECT_EQ(with(kParametersLayer, "[]"), "its params must be an object, not a list");
    EXPECT_EQ(with(kMessagesLayer, "{}"), "its messages must be a list, not an object");
    EXPECT_TRUE(with(kParametersLayer, "{").starts_with("its params is not valid JSON"));
    EXPECT_TRUE(with(kProjectorLayer, "GG").contains("its header ends")) << reason();
    manifest_ = whole;
    for (int i = 0; i < 17; ++i) add(kAdapterLayer, llama_file());
    EXPECT_EQ(reason(), "it has more than 16 adapters");
}

}  // namespace
}  // namespace hearth::models
