#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "models/model.h"
#include "models/safetensors.h"

// What every encoder family is turned into before it is packed.
namespace hearth::encoder {

// y = weight x + bias; weight is [out, in], row-major. An absent bias is all zeros.
struct LinearWeights {
    std::size_t in = 0;
    std::size_t out = 0;
    std::vector<float> weight;
    std::vector<float> bias;
};

struct NormWeights {
    std::vector<float> gain;
    std::vector<float> bias;
};

struct EmbeddingWeights {
    std::vector<float> words;      // [vocabulary, hidden]
    std::vector<float> positions;  // [positions, hidden], empty: none learned
    std::vector<float> type;       // [hidden] of token type 0, empty: none
    NormWeights norm;
};

// x = norm1(x + attend(x)); x = norm2(x + feed_forward(x))
struct LayerWeights {
    LinearWeights qkv;  // queries, keys, values stacked
    LinearWeights attention_out;
    LinearWeights up;
    LinearWeights gate;  // out = 0: none
    LinearWeights down;
    NormWeights norm1;
    NormWeights norm2;
};

// The tensors of one model folder as float32, checked: present, of the expected shape, every value
// finite. Errors: NotFound (no file), InvalidArgument, one sentence naming the tensor.
class TensorSource {
  public:
    // `prefixes` are tried in turn before `anchor`, a tensor every model of the family has.
    static Result<TensorSource> open(const std::filesystem::path& folder,
                                     std::span<const std::string_view> prefixes,
                                     std::string_view anchor);

    bool has(std::string_view name) const;
    Result<std::vector<float>> vector(std::string_view name, std::size_t size) const;
    Result<std::vector<float>> matrix(std::string_view name, std::size_t rows,
                                      std::size_t columns) const;
    // The first row of a matrix of any height.
    Result<std::vector<float>> first_row(std::string_view name, std::size_t columns) const;
    // `name`.weight and, where present, `name`.bias.
    Result<LinearWeights> linear(std::string_view name, std::size_t in, std::size_t out) const;
    Result<NormWeights> norm(std::string_view name, std::size_t size) const;

  private:
    TensorSource(std::unique_ptr<models::Safetensors> file, std::string prefix)
        : file_(std::move(file)), prefix_(std::move(prefix)) {}

    std::unique_ptr<models::Safetensors> file_;
    std::string prefix_;
};

// One family of models: where its weights are. A new family is one file and one line in
// families.cc.
struct Family {
    std::string_view name;  // config.json "model_type"
    std::span<const std::string_view> prefixes;
    std::string_view anchor;
    Result<EmbeddingWeights> (*embeddings)(const TensorSource&, const models::EncoderConfig&);
    Result<LayerWeights> (*layer)(const TensorSource&, const models::EncoderConfig&, std::size_t);
};

extern const Family kBertFamily;
extern const Family kNomicBertFamily;

// Error: InvalidArgument naming the families there are.
Result<const Family*> find_family(std::string_view name);

}  // namespace hearth::encoder
