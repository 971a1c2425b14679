#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/error.h"
#include "encoder/attention.h"
#include "encoder/linear.h"
#include "encoder/team.h"
#include "encoder/weights.h"
#include "models/model.h"

namespace hearth::encoder {

// Where the time of a forward pass goes; filled only when asked for.
struct PhaseTimes {
    std::uint64_t embed_ns = 0, qkv_ns = 0, store_ns = 0, attention_ns = 0, attention_out_ns = 0,
                  up_ns = 0, down_ns = 0, norm_ns = 0, quantise_ns = 0, pool_ns = 0;
};

// Whole sequences that go through all layers together, so that their rows stay in cache.
struct Group {
    std::vector<Sequence> sequences;
    std::size_t rows = 0;
    std::size_t keys_padded = 0;
    std::size_t first_id = 0;

    void clear();
};

// What one group needs in memory between its phases. Two sets of keys: while some rows still attend
// in one layer, others store for the next.
struct GroupState {
    Buffer<float> x;  // [rows, hidden]
    Queries queries[2];
    KeyValues keys[2];
};

// What one thread needs for its block of rows.
struct Scratch {
    PreparedRows prepared;
    Buffer<float> context;  // [block rows, hidden]
    Buffer<float> wide;     // [block rows, the widest layer]
    AttentionScratch attention;
    PhaseTimes* times = nullptr;
};

// This thread's part of a group's work.
struct Share {
    std::size_t thread = 0;
    std::size_t threads = 1;
    Barrier* barrier = nullptr;  // null when alone
};

// A loaded model: packed weights and the order of the computation. Immutable.
// The pass goes block by block over the rows: a block attends, passes its feed-forward and stores
// the next layer's queries, keys and values before the next block starts, so that everything it
// needs except the weights lies in the second-level cache and threads meet once per layer.
class Forward {
  public:
    // Rows per block: enough to use each weight often once it has come from the third-level cache,
    // few enough that the block's widest activations stay in the second
    // (docs/decisions/0005-encoder-kernels.md).
    static constexpr std::size_t kBlockRows = 112;

    static Result<std::unique_ptr<Forward>> load(const std::filesystem::path& folder,
                                                 const models::EncoderConfig& config,
                                                 const Kernels& kernels, Numbers numbers);

    const models::EncoderConfig& config() const { return config_; }
    // Multiply-adds of the linear layers per token.
    std::uint64_t linear_macs() const;

    void add(Group& group, std::size_t index, std::size_t length) const;
    void reserve(const Group& group, GroupState& state) const;
    void reserve(const Group& group, Scratch& scratch) const;
    // ids: the group's tokens. out: [batch, hidden]; the group's sequences write their own rows.
    void run(const Group& group, std::span<const std::int32_t> ids, GroupState& state,
             Scratch& scratch, const Share& share, float* out) const;

  private:
    struct Norm {
        Buffer<float> gain;
        Buffer<float> bias;
    };
    struct Layer {
        PackedLinear qkv, attention_out, up;
        std::vector<PackedLinear> down;  // by runs of its inputs; only the first has the bias
        Norm norm1, norm2;
    };
    struct InputRanges {
        InputRange qkv, up;
    };
    struct Block;
    class Probe;

    Forward(const models::EncoderConfig& config, const Kernels& kernels, Numbers numbers);
    void take(EmbeddingWeights weights);
    // All but the two layers that pack_ranged() fills.
    Layer make_layer(const LayerWeights& weights, Numbers numbers) const;
    void pack_ranged(Layer& layer, const LayerWeights& weights, Numbers numbers,
                     const InputRanges* ranges) const;
    std::vector<PackedLinear> pack_runs(const LinearWeights& weights, Numbers numbers) const;
    Norm make_norm(const NormWeights& weights) const;

    void embed(const Block& block, std::span<const std::int32_t> ids) const;
    void project(const Block& block, std::size_t layer) const;
    void attend(const Block& block, std::size_t layer) const;
    void feed_forward(const Block& block, const Layer& layer) const;
    void normalise(const Block& block, float* x, const Norm& norm) const;
    void pool(const Sequence& sequence, const GroupState& state, float* out) const;

    models::EncoderConfig config_;
    const Kernels& kernels_;
    Attention attention_;
    Rotary rotary_;
    Epilogue activation_ = Epilogue::Gelu;
    std::size_t x_stride_ = 0;
    std::size_t wide_stride_ = 0;
    EmbeddingWeights embeddings_;
    Norm embedding_norm_;
    std::vector<Layer> layers_;
};

}  // namespace hearth::encoder
