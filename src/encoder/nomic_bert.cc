#include "base/format.h"
#include "encoder/weights.h"

// NomicBERT: BERT with rotary positions, a gated feed-forward and usually no biases.
namespace hearth::encoder {
namespace {

constexpr std::string_view kNomicPrefixes[] = {"", "bert.", "model."};

Result<EmbeddingWeights> nomic_embeddings(const TensorSource& source,
                                          const models::EncoderConfig& config) {
    EmbeddingWeights weights;
    TRY(weights.words,
        source.matrix("embeddings.word_embeddings.weight", config.vocabulary, config.hidden));
    if (source.has("embeddings.token_type_embeddings.weight")) {
        TRY(weights.type,
            source.first_row("embeddings.token_type_embeddings.weight", config.hidden));
    }
    TRY(weights.norm, source.norm("emb_ln", config.hidden));
    return weights;
}

Result<LayerWeights> nomic_layer(const TensorSource& source, const models::EncoderConfig& config,
                                 std::size_t index) {
    const std::string at = format("encoder.layers.{}", index);
    const std::size_t h = config.hidden;
    LayerWeights weights;
    TRY(weights.qkv, source.linear(at + ".attn.Wqkv", h, 3 * h));
    TRY(weights.attention_out, source.linear(at + ".attn.out_proj", h, h));
    TRY(weights.norm1, source.norm(at + ".norm1", h));
    if (config.activation == "swiglu") {
        TRY(weights.up, source.linear(at + ".mlp.fc11", h, config.intermediate));
        TRY(weights.gate, source.linear(at + ".mlp.fc12", h, config.intermediate));
    } else {
        TRY(weights.up, source.linear(at + ".mlp.fc1", h, config.intermediate));
    }
    TRY(weights.down, source.linear(at + ".mlp.fc2", config.intermediate, h));
    TRY(weights.norm2, source.norm(at + ".norm2", h));
    return weights;
}

}  // namespace

const Family kNomicBertFamily{.name = "nomic_bert",
                              .prefixes = kNomicPrefixes,
                              .anchor = "embeddings.word_embeddings.weight",
                              .embeddings = nomic_embeddings,
                              .layer = nomic_layer};

}  // namespace hearth::encoder
