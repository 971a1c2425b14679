#pragma once

#include <cstddef>
#include <cstdint>

#include "encoder/buffer.h"
#include "encoder/kernels.h"
#include "encoder/weights.h"

namespace hearth::encoder {

// Rows on their way into a linear layer, in the number type of its weights. Belongs to one thread.
struct PreparedRows {
    const std::int32_t* rows = nullptr;  // set by prepare(): `units`, or floats as they are
    std::size_t rows_stride = 0;
    Buffer<std::int32_t> units;
    std::size_t stride = 0;  // of units, per row
    Buffer<float> scale;
    Buffer<float> offset;

    void reserve(std::size_t row_count, std::size_t columns);
};

// About how large each input of a layer grows.
using InputRange = std::vector<float>;

// Weights of y = W x + b, packed for one instruction set and number type. Immutable.
// I8: weights per output channel to +-127, activations per row to 0..255 with their own lowest
// value, so that GELU's lopsided range costs no bit. I16: activations per row to +-4095, weights
// per channel as large as their sum of magnitudes allows without leaving 32 bits.
class PackedLinear {
  public:
    PackedLinear() = default;
    // `gate` (same shape as `weights`, or null) is woven in for Epilogue::SwiGlu; an empty bias is
    // zero. With `range`, I8 divides inputs that grow large and multiplies their weights instead,
    // so that one loud input does not take the bits of all others. Source: Xiao et al.,
    // SmoothQuant.
    PackedLinear(const Kernels& kernels, Numbers numbers, const LinearWeights& weights,
                 const LinearWeights* gate = nullptr, const InputRange* range = nullptr);

    // Quantises rows of x [rows, in()] into `to`; floats are only pointed at and must stay.
    void prepare(const float* x, std::size_t stride, std::size_t rows, PreparedRows& to) const;

    struct Output {
        float* to = nullptr;
        std::size_t stride =
            0;  // a multiple of a panel: rows are written to the end of the last one
        const float* residual = nullptr;
    };
    void run(const PreparedRows& from, std::size_t rows, Epilogue epilogue,
             const Output& out) const;

    std::size_t in() const { return in_; }
    std::size_t out() const { return out_; }
    std::size_t bytes() const { return packed_.size() * sizeof(std::int32_t); }

  private:
    std::vector<float> smooth(const LinearWeights& weights, const LinearWeights* gate,
                              const InputRange& range);
    void pack_column(const float* weights, std::size_t column);
    void pack_int8(const float* weights, std::size_t column, std::int32_t* to);
    void pack_int16(const float* weights, std::size_t column, std::int32_t* to);

    const Kernels* kernels_ = nullptr;
    Numbers numbers_ = Numbers::F32;
    std::size_t in_ = 0;
    std::size_t out_ = 0;
    std::size_t panels_ = 0;
    std::size_t k_units_ = 0;
    std::size_t panel_units_ = 0;
    Buffer<std::int32_t> packed_;
    Buffer<float> bias_;
    Buffer<float> col_scale_;
    Buffer<float> col_sum_;
    Buffer<float> gain_;  // x * gain is what is quantised; empty: x
};

// Values per 4-byte unit.
constexpr std::size_t values_per_unit(Numbers numbers) {
    switch (numbers) {
        case Numbers::F32: return 1;
        case Numbers::I16:
        case Numbers::Bf16: return 2;
        case Numbers::I8: return 4;
    }
    return 1;
}

}  // namespace hearth::encoder
