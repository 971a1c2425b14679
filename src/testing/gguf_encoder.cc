#include "testing/gguf_encoder.h"

#include <cstdint>
#include <string>
#include <string_view>

#include "base/format.h"
#include "testing/gguf_decoder.h"
#include "testing/gguf_parts.h"
#include "testing/gguf_vocabulary.h"

namespace hearth::testing {
namespace {

constexpr std::uint32_t kHidden = kTinyHidden;
constexpr std::uint32_t kInner = 128;
constexpr std::uint32_t kHeads = 2;
constexpr std::uint32_t kLayers = 2;
constexpr std::uint32_t kImageSize = 56;  // points on each side
constexpr std::uint32_t kPatchSize = 14;
constexpr std::uint32_t kPatches = (kImageSize / kPatchSize) * (kImageSize / kPatchSize);
constexpr std::uint32_t kTokensMax = 512;

void add_linear(GgufFile& file, const std::string& name, WeightType type, std::uint64_t in,
                std::uint64_t out) {
    file.tensor(matrix(name + ".weight", type, {in, out}));
    file.tensor(bias(name + ".bias", out));
}

void add_norm(GgufFile& file, const std::string& name) {
    file.tensor(norm(name + ".weight", kHidden));
    file.tensor(bias(name + ".bias", kHidden));
}

void add_attention(GgufFile& file, const std::string& block, WeightType type,
                   std::string_view output) {
    for (const char* part : {"attn_q", "attn_k", "attn_v"}) {
        add_linear(file, block + part, type, kHidden, kHidden);
    }
    add_linear(file, block + std::string(output), type, kHidden, kHidden);
}

void add_projector_keys(GgufFile& file) {
    add_general(file, "clip", "Tiny Vision", WeightType::F16);
    file.flag("clip.has_vision_encoder", true);
    file.text("clip.projector_type", "mlp");
    file.number("clip.vision.image_size", kImageSize);
    file.number("clip.vision.patch_size", kPatchSize);
    file.number("clip.vision.embedding_length", kHidden);
    file.number("clip.vision.feed_forward_length", kInner);
    file.number("clip.vision.projection_dim", kHidden);
    file.number("clip.vision.block_count", kLayers);
    file.number("clip.vision.attention.head_count", kHeads);
    file.real("clip.vision.attention.layer_norm_epsilon", 1e-5F);
    file.reals("clip.vision.image_mean", {0.5F, 0.5F, 0.5F});
    file.reals("clip.vision.image_std", {0.5F, 0.5F, 0.5F});
}

// Numbers of llama.cpp's llama_pooling_type.
enum class TinyPooling : std::uint32_t { Mean = 1, Rank = 4 };

void add_bert_keys(GgufFile& file, std::string_view name, TinyPooling pooling) {
    add_general(file, "bert", name, WeightType::Q8_0);
    file.number("bert.block_count", kLayers);
    file.number("bert.context_length", kTokensMax);
    file.number("bert.embedding_length", kHidden);
    file.number("bert.feed_forward_length", kInner);
    file.number("bert.attention.head_count", kHeads);
    file.real("bert.attention.layer_norm_epsilon", 1e-12F);
    file.flag("bert.attention.causal", false);
    file.number("bert.pooling_type", static_cast<std::uint32_t>(pooling));
}

// Rows that are looked up, not multiplied.
void add_table(GgufFile& file, const char* name, WeightType type, std::uint64_t rows) {
    file.tensor({.name = name, .type = type, .shape = {kHidden, rows}, .deviation = 0.5F});
}

// Its vocabulary and its weights, but for what stands above its layers.
Result<void> add_bert(GgufFile& file) {
    TRY(const GgufVocabulary vocabulary,
        GgufVocabulary::read(shared_file("models/ggml-vocab-bert-bge.gguf")));
    vocabulary.add_to(file);
    add_table(file, "token_embd.weight", WeightType::Q8_0, vocabulary.size());
    add_table(file, "position_embd.weight", WeightType::F32, kTokensMax);
    add_table(file, "token_types.weight", WeightType::F32, 2);
    add_norm(file, "token_embd_norm");
    for (std::uint32_t layer = 0; layer < kLayers; ++layer) {
        const std::string block = format("blk.{}.", layer);
        add_attention(file, block, WeightType::Q8_0, "attn_output");
        add_norm(file, block + "attn_output_norm");
        add_linear(file, block + "ffn_up", WeightType::Q8_0, kHidden, kInner);
        add_linear(file, block + "ffn_down", WeightType::Q8_0, kInner, kHidden);
        add_norm(file, block + "layer_output_norm");
    }
    return {};
}

}  // namespace

// Of LLaVA's two layers all but the last are run. Source: llama.cpp tools/mtmd/models/llava.cpp.
Result<void> write_tiny_projector(const std::filesystem::path& path) {
    GgufFile file;
    add_projector_keys(file);
    WeightTensor patches =
        matrix("v.patch_embd.weight", WeightType::F16, {kPatchSize, kPatchSize, 3, kHidden});
    patches.deviation = 0.1F;
    file.tensor(std::move(patches));
    add_table(file, "v.position_embd.weight", WeightType::F32, kPatches);
    add_norm(file, "v.pre_ln");
    for (std::uint32_t layer = 0; layer < kLayers; ++layer) {
        const std::string block = format("v.blk.{}.", layer);
        add_norm(file, block + "ln1");
        add_attention(file, block, WeightType::F16, "attn_out");
        add_norm(file, block + "ln2");
        add_linear(file, block + "ffn_up", WeightType::F16, kHidden, kInner);
        add_linear(file, block + "ffn_down", WeightType::F16, kInner, kHidden);
    }
    add_linear(file, "mm.0", WeightType::F16, kHidden, kHidden);
    add_linear(file, "mm.2", WeightType::F16, kHidden, kHidden);
    return file.write(path);
}

Result<void> write_tiny_embedder(const std::filesystem::path& path) {
    GgufFile file;
    add_bert_keys(file, "Tiny Embedder", TinyPooling::Mean);
    TRY_VOID(add_bert(file));
    return file.write(path);
}

// Its pairs are [CLS] query [SEP] document [SEP]: llama.cpp leaves out what it is not told to add.
// Source: llama.cpp tools/server/server-common.cpp, format_prompt_rerank().
Result<void> write_tiny_reranker(const std::filesystem::path& path) {
    GgufFile file;
    add_bert_keys(file, "Tiny Reranker", TinyPooling::Rank);
    file.flag("tokenizer.ggml.add_bos_token", true);
    file.flag("tokenizer.ggml.add_eos_token", true);
    file.flag("tokenizer.ggml.add_sep_token", false);
    TRY_VOID(add_bert(file));
    add_linear(file, "cls", WeightType::F32, kHidden, kHidden);
    add_linear(file, "cls.output", WeightType::F32, kHidden, 1);
    return file.write(path);
}

}  // namespace hearth::testing
