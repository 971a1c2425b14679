#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

// The inner loops, once per instruction set, behind one table of functions. Everything here works
// on plain memory: who owns it and how large it is is said where it is called (linear.h,
// attention.h).
//
// All matrix products are "rows x packed panels". A row of `a` is a run of 4-byte units: one float,
// two int16, two bfloat16 or four bytes. A panel holds 2 x lanes columns: unit k of column j stands
// at b[(panel * k_units + k) * 2 * lanes + j]. So one loop serves all number types.
namespace hearth::encoder {

inline constexpr std::size_t kUnitsAlign =
    16;  // panels hold a multiple of this many units, zero-filled

// Activations are quantised to +-4095 for int16 products; weights are scaled so that no sum of
// products can leave 32 bits.
inline constexpr float kInt16ActivationMax = 4095.0F;

enum class Numbers : std::uint8_t { F32, I16, Bf16, I8 };

// What happens to a finished accumulator on its way out.
enum class Epilogue : std::uint8_t {
    Bias,      // out = value + bias
    Residual,  // out = value + bias + residual
    Gelu,      // exact GELU(value + bias)
    GeluTanh,  // its tanh form
    Relu,
    SwiGlu,  // columns come as (lanes values, lanes gates): out = value * SiLU(gate), half as wide
    Scores,  // out = value * row_scale * col_scale, nothing added
    RowScale,  // out = value * row_scale
};

// value = acc * row_scale[r] * col_scale[c] + row_offset[r] * col_sum[c] for I8, the first product
// for I16, acc for F32 and Bf16.
struct GemmCall {
    const void* a = nullptr;
    std::size_t a_stride = 0;  // units
    std::size_t rows = 0;
    const void* b = nullptr;
    std::size_t k_units = 0;      // to be multiplied
    std::size_t panel_units = 0;  // stored per panel and column, >= k_units
    std::size_t panels = 0;
    const float* row_scale = nullptr;
    const float* row_offset = nullptr;
    const float* col_scale = nullptr;
    const float* col_sum = nullptr;
    const float* bias = nullptr;
    const float* residual = nullptr;  // stride out_stride
    float* out = nullptr;             // rows are written to the end of their last panel
    std::size_t out_stride = 0;
    Epilogue epilogue = Epilogue::Bias;
};

// Rows to be quantised: x [rows, n], stride in floats; out stride in 4-byte units.
struct QuantiseCall {
    const float* x = nullptr;
    std::size_t x_stride = 0;
    std::size_t rows = 0;
    std::size_t n = 0;
    void* out = nullptr;
    std::size_t out_stride = 0;
    float limit = kInt16ActivationMax;  // I16: largest value written
    float* scale = nullptr;             // I8: x = scale * u + offset; I16: x = scale * i
    float* offset = nullptr;
    const float* gain = nullptr;  // I8: x * gain is quantised, where not null
};

// One row of attention scores; `n` true keys, `n_padded` written.
struct SoftmaxCall {
    float* scores = nullptr;  // in: scores; out (F32): exp(score - max), zero beyond n
    std::size_t n = 0;
    std::size_t n_padded = 0;
    const float* key_scale = nullptr;  // I16: scale of each key's value row
    std::int16_t* out = nullptr;       // I16: weights, zero beyond n
};

struct Kernels {
    const char* name = "";
    std::size_t lanes = 0;
    std::size_t tile_rows = 0;
    std::size_t unit_step = 1;  // k_units of I8 and Bf16 products are a multiple of it
    bool fast_int16 = false;    // worth using for reduced precision
    bool fast_int8 = false;
    float activation_max = 255.0F;  // largest I8 activation without overflow inside a dot product

    void (*gemm_f32)(const GemmCall&) = nullptr;
    void (*gemm_i16)(const GemmCall&) = nullptr;
    void (*gemm_i8)(const GemmCall&) = nullptr;
    void (*gemm_bf16)(const GemmCall&) = nullptr;  // null without matrix tiles

    void (*quantise_i8)(const QuantiseCall&) = nullptr;
    void (*quantise_i16)(const QuantiseCall&) = nullptr;
    void (*quantise_bf16)(const QuantiseCall&) = nullptr;

    // x[r] = LayerNorm(x[r]) in place.
    void (*layer_norm)(float* x, std::size_t stride, std::size_t rows, std::size_t n,
                       const float* gain, const float* bias, float epsilon) = nullptr;
    // out[i] += x[i]
    void (*add)(float* out, const float* x, std::size_t n) = nullptr;

    // Both return what the weighted sum is to be multiplied by.
    float (*softmax_f32)(const SoftmaxCall&) = nullptr;
    float (*softmax_i16)(const SoftmaxCall&) = nullptr;
    // out[u * out_stride + r] = x[r * x_stride + u] for r < rows, u < n.
    void (*transpose)(const std::int32_t* x, std::size_t x_stride, std::size_t rows, std::size_t n,
                      std::int32_t* out, std::size_t out_stride) = nullptr;
    // out[i] = even[i] in the lower half, odd[i] in the upper.
    void (*interleave_i16)(const std::int16_t* even, const std::int16_t* odd, std::size_t n,
                           std::int32_t* out) = nullptr;
};

// The tables this machine can run, best first; the last is the portable one.
std::span<const Kernels* const> supported_kernels();

}  // namespace hearth::encoder
