#include "encoder/attention.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numbers>

namespace hearth::encoder {

Rotary::Rotary(const models::EncoderConfig& config) : interleaved_(config.rotary_interleaved) {
    if (config.rotary_base <= 0) return;
    const std::size_t dim = config.hidden / config.heads;
    half_ = static_cast<std::size_t>(static_cast<float>(dim) * config.rotary_fraction) / 2;
    const std::size_t positions = std::max(config.positions_max, config.tokens_max);
    cosines_.reserve(positions * half_);
    sines_.reserve(positions * half_);
    for (std::size_t i = 0; i < half_; ++i) {
        const double turn = std::pow(static_cast<double>(config.rotary_base),
                                     -static_cast<double>(i) / static_cast<double>(half_));
        for (std::size_t p = 0; p < positions; ++p) {
            const double angle = static_cast<double>(p) * turn;
            cosines_[p * half_ + i] = static_cast<float>(std::cos(angle));
            sines_[p * half_ + i] = static_cast<float>(std::sin(angle));
        }
    }
}

void Rotary::turn(float* row, std::size_t heads, std::size_t dim, std::size_t position) const {
    const float* cosine = cosines_.data() + position * half_;
    const float* sine = sines_.data() + position * half_;
    const std::size_t step = interleaved_ ? 2 : 1;
    const std::size_t partner = interleaved_ ? 1 : half_;
    for (std::size_t h = 0; h < heads; ++h, row += dim) {
        for (std::size_t i = 0; i < half_; ++i) {
            const float a = row[i * step];
            const float b = row[i * step + partner];
            row[i * step] = a * cosine[i] - b * sine[i];
            row[i * step + partner] = b * cosine[i] + a * sine[i];
        }
    }
}

Attention::Attention(const Kernels& kernels, bool int16, std::size_t heads, std::size_t dim)
    : kernels_(&kernels), int16_(int16), heads_(heads), dim_(dim), panel_(2 * kernels.lanes) {
    keys_per_unit_ = int16 ? 2 : 1;
    head_units_ = int16 ? dim / 2 : dim;
    value_panels_ = ceil_div(dim, panel_);
    token_stride_ = heads * head_units_ + kUnitsAlign;
    const double largest = std::sqrt(2147483647.0 / static_cast<double>(dim));
    limit_ = static_cast<float>(std::floor(std::min(32767.0, largest)));
    factor_ = static_cast<float>(std::numbers::log2e / std::sqrt(static_cast<double>(dim)));
}

void Attention::reserve(KeyValues& to, std::size_t keys_padded) const {
    to.keys.reserve(keys_padded * heads_ * head_units_);
    to.values.reserve(keys_padded / keys_per_unit_ * heads_ * value_panels_ * panel_);
    to.key_scale.reserve(keys_padded);
    to.value_scale.reserve(keys_padded);
}

void Attention::reserve(Queries& to, std::size_t rows) const {
    to.stride = heads_ * head_units_ + kUnitsAlign;
    to.units.reserve(rows * to.stride);
    to.scale.reserve(rows);
}

void Attention::reserve(AttentionScratch& to, std::size_t keys_padded) const {
    const std::size_t stride = keys_padded + 2 * kUnitsAlign;
    to.scores.reserve(kernels_->tile_rows * stride);
    to.weights.reserve(kernels_->tile_rows * stride);
    to.row_scale.reserve(kernels_->tile_rows);
    to.tokens.reserve(panel_ * token_stride_);
}

std::size_t Attention::key_base(const Sequence& sequence, std::size_t head) const {
    return (sequence.first_key * heads_ + head * sequence.keys_padded) * head_units_;
}

std::size_t Attention::value_base(const Sequence& sequence, std::size_t head) const {
    return (sequence.first_key * heads_ + head * sequence.keys_padded) / keys_per_unit_ *
           value_panels_ * panel_;
}

void Attention::store(const float* qkv, std::size_t stride, const Sequence& sequence,
                      std::size_t token, std::size_t count, AttentionScratch& scratch,
                      Queries& queries, KeyValues& keys) const {
    const std::size_t end = token + count;
    if (!int16_) {
        for (; token < end; ++token, qkv += stride) {
            store_float(qkv, sequence, token, queries, keys);
        }
        return;
    }
    while (token < end) {
        const std::size_t n = std::min(end - token, panel_ - token % panel_);
        store_int16({.x = qkv, .x_stride = stride, .rows = n, .n = heads_ * dim_}, sequence, token,
                    scratch.tokens.data(), queries, keys);
        qkv += n * stride;
        token += n;
    }
}

void Attention::store_float(const float* qkv, const Sequence& sequence, std::size_t token,
                            Queries& queries, KeyValues& keys) const {
    const std::size_t hidden = heads_ * dim_;
    const std::size_t row = sequence.first_row + token;
    auto* q = reinterpret_cast<float*>(queries.units.data() + row * queries.stride);
    for (std::size_t i = 0; i < hidden; ++i) q[i] = qkv[i] * factor_;
    const std::size_t in_panel = token / panel_ * panel_ * head_units_ + token % panel_;
    for (std::size_t h = 0; h < heads_; ++h) {
        const float* key = qkv + hidden + h * dim_;
        const float* value = qkv + 2 * hidden + h * dim_;
        auto* k = reinterpret_cast<float*>(keys.keys.data() + key_base(sequence, h) + in_panel);
        for (std::size_t d = 0; d < dim_; ++d) k[d * panel_] = key[d];
        auto* v = reinterpret_cast<float*>(keys.values.data() + value_base(sequence, h));
        for (std::size_t d = 0; d < dim_; d += panel_) {
            std::memcpy(v + (d / panel_ * sequence.keys_padded + token) * panel_, value + d,
                        std::min(panel_, dim_ - d) * sizeof(float));
        }
    }
}

// Tokens of one panel of keys: they reach their places a cache line at a time.
void Attention::store_int16(const QuantiseCall& rows, const Sequence& sequence, std::size_t token,
                            std::int32_t* tokens, Queries& queries, KeyValues& keys) const {
    const std::size_t row = sequence.first_row + token;
    const std::size_t key = sequence.first_key + token;
    QuantiseCall call = rows;
    call.limit = limit_;
    call.out = queries.units.data() + row * queries.stride;
    call.out_stride = queries.stride;
    call.scale = queries.scale.data() + row;
    kernels_->quantise_i16(call);
    for (std::size_t r = 0; r < rows.rows; ++r) call.scale[r] *= factor_;

    call.x += rows.n;
    call.out = tokens;
    call.out_stride = token_stride_;
    call.scale = keys.key_scale.data() + key;
    kernels_->quantise_i16(call);
    deal_keys(tokens, rows.rows, sequence, token, keys);

    call.x += rows.n;
    call.limit = 32767.0F;
    call.scale = keys.value_scale.data() + key;
    kernels_->quantise_i16(call);
    deal_values(tokens, rows.rows, sequence, token, keys);
}

void Attention::deal_keys(const std::int32_t* tokens, std::size_t count, const Sequence& sequence,
                          std::size_t token, KeyValues& keys) const {
    std::int32_t* to = keys.keys.data() + key_base(sequence, 0) +
                       token / panel_ * panel_ * head_units_ + token % panel_;
    for (std::size_t h = 0; h < heads_; ++h, to += sequence.keys_padded * head_units_) {
        kernels_->transpose(tokens + h * head_units_, token_stride_, count, head_units_, to,
                            panel_);
    }
}

// Two tokens share a unit: the even one has the lower half. Where the run begins or ends inside a
// unit, the other half is left as it is.
void Attention::deal_values(const std::int32_t* tokens, std::size_t count, const Sequence& sequence,
                            std::size_t token, KeyValues& keys) const {
    const auto* rows = reinterpret_cast<const std::int16_t*>(tokens);
    const std::size_t stride = 2 * token_stride_;
    for (std::size_t h = 0; h < heads_; ++h) {
        for (std::size_t d = 0; d < dim_; d += panel_) {
            const std::size_t n = std::min(panel_, dim_ - d);
            const std::int16_t* from = rows + h * dim_ + d;
            std::int32_t* to = keys.values.data() + value_base(sequence, h) +
                               (d / panel_ * (sequence.keys_padded / 2) + token / 2) * panel_;
            const auto half = [n](const std::int16_t* one, std::int32_t* units, std::size_t which) {
                auto* halves = reinterpret_cast<std::int16_t*>(units) + which;
                for (std::size_t i = 0; i < n; ++i) halves[2 * i] = one[i];
            };
            std::size_t r = 0;
            if (token % 2 != 0) {
                half(from, to, 1);
                to += panel_;
                ++r;
            }
            for (; r + 2 <= count; r += 2, to += panel_) {
                kernels_->interleave_i16(from + r * stride, from + (r + 1) * stride, n, to);
            }
            if (r < count) half(from + r * stride, to, 0);
        }
    }
}

// What all tiles of one head share.
struct Attention::Head {
    const std::int32_t* queries = nullptr;
    std::size_t query_stride = 0;
    const float* query_scale = nullptr;
    const std::int32_t* keys = nullptr;
    const std::int32_t* values = nullptr;
    const float* key_scale = nullptr;
    const float* value_scale = nullptr;
    std::size_t length = 0;
    std::size_t keys_padded = 0;
};

void Attention::attend(const Queries& queries, const KeyValues& keys, const Sequence& sequence,
                       std::size_t token, std::size_t count, AttentionScratch& scratch, float* out,
                       std::size_t out_stride) const {
    const std::size_t row = sequence.first_row + token;
    const std::size_t tiles = ceil_div(count, kernels_->tile_rows);
    for (std::size_t h = 0; h < heads_; ++h) {
        const Head head{.queries = queries.units.data() + row * queries.stride + h * head_units_,
                        .query_stride = queries.stride,
                        .query_scale = queries.scale.data() + row,
                        .keys = keys.keys.data() + key_base(sequence, h),
                        .values = keys.values.data() + value_base(sequence, h),
                        .key_scale = keys.key_scale.data() + sequence.first_key,
                        .value_scale = keys.value_scale.data() + sequence.first_key,
                        .length = sequence.length,
                        .keys_padded = sequence.keys_padded};
        for (std::size_t t = 0; t < tiles; ++t) {
            const std::size_t begin = count * t / tiles;
            const std::size_t end = count * (t + 1) / tiles;
            attend_tile(head, begin, end - begin, scratch, out + begin * out_stride + h * dim_,
                        out_stride);
        }
    }
}

void Attention::attend_tile(const Head& head, std::size_t row, std::size_t rows,
                            AttentionScratch& scratch, float* out, std::size_t out_stride) const {
    const std::size_t stride = head.keys_padded + kUnitsAlign;
    const GemmCall scores{.a = head.queries + row * head.query_stride,
                          .a_stride = head.query_stride,
                          .rows = rows,
                          .b = head.keys,
                          .k_units = head_units_,
                          .panel_units = head_units_,
                          .panels = head.keys_padded / panel_,
                          .row_scale = head.query_scale + row,
                          .col_scale = head.key_scale,
                          .out = scratch.scores.data(),
                          .out_stride = stride,
                          .epilogue = Epilogue::Scores};
    (int16_ ? kernels_->gemm_i16 : kernels_->gemm_f32)(scores);
    for (std::size_t r = 0; r < rows; ++r) {
        const SoftmaxCall softmax{.scores = scratch.scores.data() + r * stride,
                                  .n = head.length,
                                  .n_padded = head.keys_padded,
                                  .key_scale = head.value_scale,
                                  .out = scratch.weights.data() + r * stride};
        scratch.row_scale[r] = (int16_ ? kernels_->softmax_i16 : kernels_->softmax_f32)(softmax);
    }
    const GemmCall sums{.a = int16_ ? static_cast<const void*>(scratch.weights.data())
                                    : static_cast<const void*>(scratch.scores.data()),
                        .a_stride = stride / keys_per_unit_,
                        .rows = rows,
                        .b = head.values,
                        .k_units = ceil_div(head.length, keys_per_unit_),
                        .panel_units = head.keys_padded / keys_per_unit_,
                        .panels = value_panels_,
                        .row_scale = scratch.row_scale.data(),
                        .out = out,
                        .out_stride = out_stride,
                        .epilogue = Epilogue::RowScale};
    (int16_ ? kernels_->gemm_i16 : kernels_->gemm_f32)(sums);
}

}  // namespace hearth::encoder
