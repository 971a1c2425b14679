#pragma once

#include <cstddef>
#include <cstdint>

#include "encoder/buffer.h"
#include "encoder/kernels.h"
#include "models/model.h"

namespace hearth::encoder {

// cos and sin of every position and rotated pair. Immutable. Source: Su et al., RoFormer; the
// pairing (i, i + half) of GPT-NeoX, or (2i, 2i + 1) where interleaved.
class Rotary {
  public:
    Rotary() = default;
    explicit Rotary(const models::EncoderConfig& config);

    bool empty() const { return half_ == 0; }
    // Turns every head of one token's row in place.
    void turn(float* row, std::size_t heads, std::size_t dim, std::size_t position) const;

  private:
    std::size_t half_ = 0;  // rotated pairs per head
    bool interleaved_ = false;
    Buffer<float> cosines_;
    Buffer<float> sines_;
};

// One packed sequence inside a group.
struct Sequence {
    std::size_t first_row = 0;  // of the group
    std::size_t length = 0;
    std::size_t first_key = 0;  // sum of the padded lengths before it
    std::size_t keys_padded = 0;
    std::size_t index = 0;  // of the batch
};

// Keys and values of a group, in panels per sequence and head.
struct KeyValues {
    Buffer<std::int32_t> keys;
    Buffer<std::int32_t> values;
    Buffer<float> key_scale;  // of each padded key, for all heads
    Buffer<float> value_scale;
};

struct Queries {
    Buffer<std::int32_t> units;  // [rows, stride]
    std::size_t stride = 0;
    Buffer<float> scale;  // [rows]
};

// Belongs to one thread.
struct AttentionScratch {
    Buffer<float> scores;  // [tile rows, keys]
    Buffer<std::int16_t> weights;
    Buffer<float> row_scale;      // [tile rows]
    Buffer<std::int32_t> tokens;  // keys or values of up to a panel of tokens, on their way
};

// Softmax(Q K^T / sqrt(dim)) V per sequence and head, a register tile of queries at a time: scratch
// is tile rows x keys, never queries x keys. Products in float32 or, for reduced precisions, in
// int16 with a scale per token (weights of 15 bits, exact 32-bit sums). Immutable.
class Attention {
  public:
    Attention() = default;
    Attention(const Kernels& kernels, bool int16, std::size_t heads, std::size_t dim);

    std::size_t pad_keys(std::size_t length) const { return round_up(length, panel_); }
    void reserve(KeyValues& to, std::size_t keys_padded) const;
    void reserve(Queries& to, std::size_t rows) const;
    void reserve(AttentionScratch& to, std::size_t keys_padded) const;

    // Takes in the QKV product [count, stride] of the tokens from `token` on.
    void store(const float* qkv, std::size_t stride, const Sequence& sequence, std::size_t token,
               std::size_t count, AttentionScratch& scratch, Queries& queries,
               KeyValues& keys) const;
    // Attends with `count` queries from `token` on; out [count, stride] has room for a panel beyond
    // the last head.
    void attend(const Queries& queries, const KeyValues& keys, const Sequence& sequence,
                std::size_t token, std::size_t count, AttentionScratch& scratch, float* out,
                std::size_t out_stride) const;

  private:
    struct Head;
    void store_float(const float* qkv, const Sequence& sequence, std::size_t token,
                     Queries& queries, KeyValues& keys) const;
    void store_int16(const QuantiseCall& rows, const Sequence& sequence, std::size_t token,
                     std::int32_t* tokens, Queries& queries, KeyValues& keys) const;
    void deal_keys(const std::int32_t* tokens, std::size_t count, const Sequence& sequence,
                   std::size_t token, KeyValues& keys) const;
    void deal_values(const std::int32_t* tokens, std::size_t count, const Sequence& sequence,
                     std::size_t token, KeyValues& keys) const;
    void attend_tile(const Head& head, std::size_t row, std::size_t rows, AttentionScratch& scratch,
                     float* out, std::size_t out_stride) const;
    std::size_t key_base(const Sequence& sequence, std::size_t head) const;
    std::size_t value_base(const Sequence& sequence, std::size_t head) const;

    const Kernels* kernels_ = nullptr;
    bool int16_ = false;
    std::size_t heads_ = 0;
    std::size_t dim_ = 0;
    std::size_t panel_ = 0;
    std::size_t head_units_ = 0;  // units of one head of one token
    std::size_t keys_per_unit_ = 1;
    std::size_t value_panels_ = 0;
    std::size_t token_stride_ = 0;  // units of AttentionScratch::tokens
    float limit_ = 0;               // largest int16 of queries and keys
    float factor_ = 0;              // log2(e) / sqrt(dim): weights are powers of 2
};

}  // namespace hearth::encoder
