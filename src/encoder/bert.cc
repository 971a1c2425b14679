#include "base/format.h"
#include "encoder/weights.h"

// BERT as Hugging Face stores it: MiniLM, bge, e5, gte.
namespace hearth::encoder {
namespace {

constexpr std::string_view kBertPrefixes[] = {"", "bert.", "model.", "0.auto_model."};

void append(std::vector<float>& to, const std::vector<float>& from) {
    to.insert(to.end(), from.begin(), from.end());
}

Result<EmbeddingWeights> bert_embeddings(const TensorSource& source,
                                         const models::EncoderConfig& config) {
    EmbeddingWeights weights;
    TRY(weights.words,
        source.matrix("embeddings.word_embeddings.weight", config.vocabulary, config.hidden));
    TRY(weights.positions, source.matrix("embeddings.position_embeddings.weight",
                                         config.positions_max, config.hidden));
    if (source.has("embeddings.token_type_embeddings.weight")) {
        TRY(weights.type,
            source.first_row("embeddings.token_type_embeddings.weight", config.hidden));
    }
    TRY(weights.norm, source.norm("embeddings.LayerNorm", config.hidden));
    return weights;
}

Result<LayerWeights> bert_layer(const TensorSource& source, const models::EncoderConfig& config,
                                std::size_t index) {
    const std::string at = format("encoder.layer.{}", index);
    const std::size_t h = config.hidden;
    LayerWeights weights;
    weights.qkv.in = h;
    weights.qkv.out = 3 * h;
    for (const std::string_view part : {"query", "key", "value"}) {
        TRY(const auto linear, source.linear(format("{}.attention.self.{}", at, part), h, h));
        append(weights.qkv.weight, linear.weight);
        append(weights.qkv.bias, linear.bias);
    }
    TRY(weights.attention_out, source.linear(at + ".attention.output.dense", h, h));
    TRY(weights.norm1, source.norm(at + ".attention.output.LayerNorm", h));
    TRY(weights.up, source.linear(at + ".intermediate.dense", h, config.intermediate));
    TRY(weights.down, source.linear(at + ".output.dense", config.intermediate, h));
    TRY(weights.norm2, source.norm(at + ".output.LayerNorm", h));
    return weights;
}

}  // namespace

const Family kBertFamily{.name = "bert",
                         .prefixes = kBertPrefixes,
                         .anchor = "embeddings.word_embeddings.weight",
                         .embeddings = bert_embeddings,
                         .layer = bert_layer};

}  // namespace hearth::encoder
