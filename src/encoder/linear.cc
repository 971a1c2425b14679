#include "encoder/linear.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

namespace hearth::encoder {
namespace {

constexpr double kInt32Max = 2147483647.0;

constexpr float kLeast = 1e-4F;

float absolute_max(const float* x, std::size_t n) {
    float most = 0;
    for (std::size_t i = 0; i < n; ++i) most = std::max(most, std::abs(x[i]));
    return most;
}

std::uint16_t to_bf16(float x) {
    const auto bits = std::bit_cast<std::uint32_t>(x);
    return static_cast<std::uint16_t>((bits + 0x7FFFU + ((bits >> 16) & 1U)) >> 16);
}

}  // namespace

void PreparedRows::reserve(std::size_t row_count, std::size_t columns) {
    // One cache line beyond a round size: rows a multiple of 4 KiB apart would share their cache
    // sets.
    stride = std::max(stride, round_up(columns, kUnitsAlign) + kUnitsAlign);
    units.reserve(row_count * stride);
    scale.reserve(row_count);
    offset.reserve(row_count);
}

PackedLinear::PackedLinear(const Kernels& kernels, Numbers numbers, const LinearWeights& weights,
                           const LinearWeights* gate, const InputRange* range)
    : kernels_(&kernels), numbers_(numbers), in_(weights.in), out_(weights.out) {
    const std::size_t lanes = kernels.lanes;
    const std::size_t panel = 2 * lanes;
    const bool tiles = numbers == Numbers::I8 || numbers == Numbers::Bf16;
    k_units_ = ceil_div(in_, values_per_unit(numbers));
    if (tiles) k_units_ = round_up(k_units_, kernels.unit_step);
    panel_units_ = round_up(k_units_, kUnitsAlign);
    panels_ = ceil_div(gate != nullptr ? 2 * round_up(out_, lanes) : out_, panel);
    packed_.reserve(panels_ * panel_units_ * panel);
    bias_.reserve(panels_ * panel);
    col_scale_.reserve(panels_ * panel);
    col_sum_.reserve(panels_ * panel);
    const std::vector<float> factors = range != nullptr && numbers == Numbers::I8
                                           ? smooth(weights, gate, *range)
                                           : std::vector<float>();
    std::vector<float> row(factors.size());
    const auto pack = [&](const LinearWeights& from, std::size_t o, std::size_t column) {
        const float* at = from.weight.data() + o * in_;
        for (std::size_t k = 0; k < row.size(); ++k) row[k] = at[k] * factors[k];
        pack_column(row.empty() ? at : row.data(), column);
        if (!from.bias.empty()) bias_[column] = from.bias[o];
    };
    for (std::size_t o = 0; o < out_; ++o) {
        const std::size_t column = gate == nullptr ? o : o / lanes * panel + o % lanes;
        pack(weights, o, column);
        if (gate != nullptr) pack(*gate, o, column + lanes);
    }
}

// Returns the factors of the weights; the inputs' are kept.
std::vector<float> PackedLinear::smooth(const LinearWeights& weights, const LinearWeights* gate,
                                        const InputRange& range) {
    std::vector<float> largest(in_, 0.0F);
    for (const LinearWeights* from : {&weights, gate}) {
        if (from == nullptr) continue;
        for (std::size_t o = 0; o < out_; ++o) {
            for (std::size_t k = 0; k < in_; ++k) {
                largest[k] = std::max(largest[k], std::abs(from->weight[o * in_ + k]));
            }
        }
    }
    gain_.reserve(round_up(in_, kUnitsAlign));
    std::vector<float> factors(in_);
    for (std::size_t k = 0; k < in_; ++k) {
        factors[k] = std::sqrt(std::max(range[k], kLeast) / std::max(largest[k], kLeast));
        gain_[k] = 1 / factors[k];
    }
    return factors;
}

void PackedLinear::pack_column(const float* weights, std::size_t column) {
    const std::size_t panel = 2 * kernels_->lanes;
    std::int32_t* to = packed_.data() + column / panel * panel_units_ * panel + column % panel;
    switch (numbers_) {
        case Numbers::F32:
            for (std::size_t k = 0; k < in_; ++k) {
                to[k * panel] = std::bit_cast<std::int32_t>(weights[k]);
            }
            return;
        case Numbers::Bf16:
            for (std::size_t k = 0; k < in_; ++k) {
                const std::uint16_t value = to_bf16(weights[k]);
                std::memcpy(reinterpret_cast<std::byte*>(to + k / 2 * panel) + k % 2 * 2, &value,
                            2);
            }
            return;
        case Numbers::I16: return pack_int16(weights, column, to);
        case Numbers::I8: return pack_int8(weights, column, to);
    }
}

void PackedLinear::pack_int8(const float* weights, std::size_t column, std::int32_t* to) {
    const std::size_t panel = 2 * kernels_->lanes;
    const float most = absolute_max(weights, in_);
    const float scale = most > 0 ? most / 127.0F : 1.0F;
    std::int64_t sum = 0;
    for (std::size_t k = 0; k < in_; ++k) {
        const auto value = static_cast<std::int8_t>(std::lround(weights[k] / scale));
        sum += value;
        std::memcpy(reinterpret_cast<std::byte*>(to + k / 4 * panel) + k % 4, &value, 1);
    }
    col_scale_[column] = scale;
    col_sum_[column] = scale * static_cast<float>(sum);
}

void PackedLinear::pack_int16(const float* weights, std::size_t column, std::int32_t* to) {
    const std::size_t panel = 2 * kernels_->lanes;
    double magnitude = 0;
    for (std::size_t k = 0; k < in_; ++k) magnitude += std::abs(static_cast<double>(weights[k]));
    const double most = absolute_max(weights, in_);
    // Each rounding adds at most 1/2 to the sum of magnitudes.
    const double room = kInt32Max / kInt16ActivationMax - static_cast<double>(in_);
    const double factor = most > 0 ? std::min(32767.0 / most, room / magnitude) : 1.0;
    for (std::size_t k = 0; k < in_; ++k) {
        const auto value = static_cast<std::int16_t>(std::lround(weights[k] * factor));
        std::memcpy(reinterpret_cast<std::byte*>(to + k / 2 * panel) + k % 2 * 2, &value, 2);
    }
    col_scale_[column] = static_cast<float>(1.0 / factor);
}

void PackedLinear::prepare(const float* x, std::size_t stride, std::size_t rows,
                           PreparedRows& to) const {
    const QuantiseCall call{.x = x,
                            .x_stride = stride,
                            .rows = rows,
                            .n = in_,
                            .out = to.units.data(),
                            .out_stride = to.stride,
                            .scale = to.scale.data(),
                            .offset = to.offset.data(),
                            .gain = gain_.data()};
    to.rows = to.units.data();
    to.rows_stride = to.stride;
    switch (numbers_) {
        case Numbers::F32:
            to.rows = reinterpret_cast<const std::int32_t*>(x);
            to.rows_stride = stride;
            return;
        case Numbers::I16: return kernels_->quantise_i16(call);
        case Numbers::Bf16: return kernels_->quantise_bf16(call);
        case Numbers::I8: return kernels_->quantise_i8(call);
    }
}

void PackedLinear::run(const PreparedRows& from, std::size_t rows, Epilogue epilogue,
                       const Output& out) const {
    const GemmCall call{.a = from.rows,
                        .a_stride = from.rows_stride,
                        .rows = rows,
                        .b = packed_.data(),
                        .k_units = k_units_,
                        .panel_units = panel_units_,
                        .panels = panels_,
                        .row_scale = from.scale.data(),
                        .row_offset = from.offset.data(),
                        .col_scale = col_scale_.data(),
                        .col_sum = col_sum_.data(),
                        .bias = bias_.data(),
                        .residual = out.residual,
                        .out = out.to,
                        .out_stride = out.stride,
                        .epilogue = epilogue};
    switch (numbers_) {
        case Numbers::F32: return kernels_->gemm_f32(call);
        case Numbers::I16: return kernels_->gemm_i16(call);
        case Numbers::Bf16: return kernels_->gemm_bf16(call);
        case Numbers::I8: return kernels_->gemm_i8(call);
    }
}

}  // namespace hearth::encoder
