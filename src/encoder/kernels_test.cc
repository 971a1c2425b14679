#include "encoder/kernels.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

#include "encoder/linear.h"

namespace hearth::encoder {
namespace {

std::vector<float> random_floats(std::size_t n, std::mt19937& random, float spread = 1.0F) {
    std::normal_distribution<float> normal(0.0F, spread);
    std::vector<float> values(n);
    for (float& v : values) v = normal(random);
    return values;
}

LinearWeights random_linear(std::size_t in, std::size_t out, std::mt19937& random) {
    return {.in = in,
            .out = out,
            .weight = random_floats(in * out, random, 1.0F / std::sqrt(static_cast<float>(in))),
            .bias = random_floats(out, random)};
}

double linear_at(const LinearWeights& w, const float* x, std::size_t column) {
    double sum = w.bias[column];
    for (std::size_t k = 0; k < w.in; ++k) {
        sum += static_cast<double>(w.weight[column * w.in + k]) * x[k];
    }
    return sum;
}

double exact(Epilogue epilogue, double v) {
    switch (epilogue) {
        case Epilogue::Gelu: return v * 0.5 * std::erfc(-v / std::sqrt(2.0));
        case Epilogue::GeluTanh:
            return 0.5 * v * (1 + std::tanh(std::sqrt(2.0 / M_PI) * (v + 0.044715 * v * v * v)));
        case Epilogue::Relu: return std::max(v, 0.0);
        default: return v;
    }
}

// The error of one product against double precision, relative to the size of its results (about 1).
struct Bound {
    Numbers numbers;
    double error;
};
constexpr Bound kBounds[] = {
    {Numbers::F32, 4e-6}, {Numbers::I16, 3e-3}, {Numbers::Bf16, 3e-2}, {Numbers::I8, 0.12}};

void check_linear(const Kernels& kernels, const Bound& bound, std::size_t in, std::size_t out,
                  std::size_t rows, Epilogue epilogue) {
    std::mt19937 random(static_cast<unsigned>(in * 31 + out * 7 + rows));
    const LinearWeights weights = random_linear(in, out, random);
    const LinearWeights gate = random_linear(in, out, random);
    const bool gated = epilogue == Epilogue::SwiGlu;
    const PackedLinear linear(kernels, bound.numbers, weights, gated ? &gate : nullptr);
    const std::size_t stride = round_up(out, 32) + 32;
    const std::vector<float> x = random_floats(rows * in, random);
    const std::vector<float> residual = random_floats(rows * stride, random);
    std::vector<float> y(rows * stride, NAN);
    PreparedRows prepared;
    prepared.reserve(rows, in);
    linear.prepare(x.data(), in, rows, prepared);
    linear.run(prepared, rows, epilogue,
               {.to = y.data(), .stride = stride, .residual = residual.data()});
    double worst = 0;
    for (std::size_t r = 0; r < rows; ++r) {
        for (std::size_t o = 0; o < out; ++o) {
            double expected = linear_at(weights, x.data() + r * in, o);
            if (epilogue == Epilogue::Residual) expected += residual[r * stride + o];
            if (gated) {
                const double g = linear_at(gate, x.data() + r * in, o);
                expected *= g / (1 + std::exp(-g));
            }
            expected = exact(epilogue, expected);
            worst = std::max(
                worst, std::abs(y[r * stride + o] - expected) / std::max(1.0, std::abs(expected)));
        }
    }
    EXPECT_LE(worst, bound.error) << kernels.name << " numbers " << static_cast<int>(bound.numbers)
                                  << " " << rows << " x " << in << " x " << out << " epilogue "
                                  << static_cast<int>(epilogue);
}

bool offers(const Kernels& kernels, Numbers numbers) {
    return numbers != Numbers::Bf16 || kernels.gemm_bf16 != nullptr;
}

TEST(Kernels, LinearLayersAgreeWithDoublePrecisionAtEveryRowCount) {
    for (const Kernels* kernels : supported_kernels()) {
        for (const Bound& bound : kBounds) {
            if (!offers(*kernels, bound.numbers)) continue;
            for (std::size_t rows = 1; rows <= 33; ++rows) {
                check_linear(*kernels, bound, 48, 40, rows, Epilogue::Bias);
            }
        }
    }
}

TEST(Kernels, LinearLayersAgreeWithDoublePrecisionAtOddShapesAndEveryEpilogue) {
    for (const Kernels* kernels : supported_kernels()) {
        for (const Bound& bound : kBounds) {
            if (!offers(*kernels, bound.numbers)) continue;
            for (const std::size_t in : {1UZ, 7UZ, 63UZ, 66UZ, 384UZ}) {
                for (const std::size_t out : {1UZ, 17UZ, 33UZ, 96UZ}) {
                    check_linear(*kernels, bound, in, out, 5, Epilogue::Bias);
                }
            }
            for (const Epilogue epilogue : {Epilogue::Residual, Epilogue::Gelu, Epilogue::GeluTanh,
                                            Epilogue::Relu, Epilogue::SwiGlu}) {
                check_linear(*kernels, bound, 96, 70, 15, epilogue);
            }
        }
    }
}

// The worst error of int8 over 8 rows in which one input is a hundred times as large as the rest.
double loud_input_error(const Kernels& kernels, bool smooth) {
    constexpr std::size_t kIn = 96, kOut = 64, kRows = 8, kLoud = 13;
    std::mt19937 random(9);
    LinearWeights weights = random_linear(kIn, kOut, random);
    for (std::size_t o = 0; o < kOut; ++o) weights.weight[o * kIn + kLoud] *= 0.01F;
    std::vector<float> x = random_floats(kRows * kIn, random);
    for (std::size_t r = 0; r < kRows; ++r) x[r * kIn + kLoud] *= 100.0F;
    InputRange range(kIn, 3.0F);
    range[kLoud] = 300.0F;
    const PackedLinear linear(kernels, Numbers::I8, weights, nullptr, smooth ? &range : nullptr);
    std::vector<float> y(kRows * (kOut + 32));
    PreparedRows prepared;
    prepared.reserve(kRows, kIn);
    linear.prepare(x.data(), kIn, kRows, prepared);
    linear.run(prepared, kRows, Epilogue::Bias, {.to = y.data(), .stride = kOut + 32});
    double worst = 0;
    for (std::size_t r = 0; r < kRows; ++r) {
        for (std::size_t o = 0; o < kOut; ++o) {
            const double expected = linear_at(weights, x.data() + r * kIn, o);
            worst = std::max(worst, std::abs(y[r * (kOut + 32) + o] - expected));
        }
    }
    return worst;
}

TEST(Kernels, OneLoudInputDoesNotTakeTheBitsOfTheOthers) {
    for (const Kernels* kernels : supported_kernels()) {
        const double smooth = loud_input_error(*kernels, true);
        EXPECT_LE(smooth, 0.12) << kernels->name;
        EXPECT_GE(loud_input_error(*kernels, false), 5 * smooth) << kernels->name;
    }
}

TEST(Kernels, TransposesAnyShape) {
    for (const Kernels* kernels : supported_kernels()) {
        for (const std::size_t rows : {1UZ, 7UZ, 16UZ, 29UZ, 32UZ}) {
            constexpr std::size_t kUnits = 11, kStride = 40;
            std::vector<std::int32_t> x(rows * kStride);
            for (std::size_t i = 0; i < x.size(); ++i) x[i] = static_cast<std::int32_t>(i);
            std::vector<std::int32_t> out(kUnits * kStride, -1);
            kernels->transpose(x.data(), kStride, rows, kUnits, out.data(), kStride);
            for (std::size_t u = 0; u < kUnits; ++u) {
                for (std::size_t r = 0; r < kStride; ++r) {
                    ASSERT_EQ(out[u * kStride + r], r < rows ? x[r * kStride + u] : -1)
                        << kernels->name << " " << rows;
                }
            }
        }
    }
}

TEST(Kernels, Int16SumsNeverLeave32Bits) {
    // All weights and activations at their largest and of one sign: the worst there is.
    for (const Kernels* kernels : supported_kernels()) {
        const std::size_t in = 8192;
        const LinearWeights weights{.in = in,
                                    .out = 1,
                                    .weight = std::vector<float>(in, 3.0F),
                                    .bias = std::vector<float>(1)};
        const PackedLinear linear(*kernels, Numbers::I16, weights);
        const std::vector<float> x(in, 2.0F);
        std::vector<float> y(64);
        PreparedRows prepared;
        prepared.reserve(1, in);
        linear.prepare(x.data(), in, 1, prepared);
        linear.run(prepared, 1, Epilogue::Bias, {.to = y.data(), .stride = 64});
        EXPECT_NEAR(y[0], 6.0F * static_cast<float>(in), 6.0F * 8192 * 0.01F) << kernels->name;
    }
}

TEST(Kernels, LayerNormAgreesWithDoublePrecision) {
    std::mt19937 random(3);
    for (const Kernels* kernels : supported_kernels()) {
        for (const std::size_t n : {1UZ, 5UZ, 16UZ, 31UZ, 100UZ, 384UZ}) {
            const auto gain = random_floats(n + 64, random);
            const auto bias = random_floats(n + 64, random);
            auto x = random_floats(n + 64, random, 3.0F);
            const auto before = x;
            kernels->layer_norm(x.data(), n + 64, 1, n, gain.data(), bias.data(), 1e-5F);
            double mean = 0;
            double variance = 0;
            for (std::size_t i = 0; i < n; ++i) mean += before[i] / static_cast<double>(n);
            for (std::size_t i = 0; i < n; ++i) {
                variance += std::pow(before[i] - mean, 2) / static_cast<double>(n);
            }
            for (std::size_t i = 0; i < n; ++i) {
                const double expected =
                    (before[i] - mean) / std::sqrt(variance + 1e-5) * gain[i] + bias[i];
                EXPECT_NEAR(x[i], expected, 1e-5) << kernels->name << " " << n;
            }
            EXPECT_EQ(x[n], before[n]) << "beyond the row";
        }
    }
}

TEST(Kernels, SoftmaxAgreesWithDoublePrecisionAtEveryLength) {
    std::mt19937 random(4);
    for (const Kernels* kernels : supported_kernels()) {
        for (std::size_t n = 1; n <= 70; ++n) {
            const std::size_t padded = round_up(n, 2 * kernels->lanes);
            const auto scores = random_floats(padded, random, 4.0F);
            const auto scale = std::vector<float>(padded, 0.5F);
            std::vector<std::int16_t> weights(padded, -1);
            auto a = scores;
            auto b = scores;
            const float share =
                kernels->softmax_f32({.scores = a.data(), .n = n, .n_padded = padded});
            const float unit = kernels->softmax_i16({.scores = b.data(),
                                                     .n = n,
                                                     .n_padded = padded,
                                                     .key_scale = scale.data(),
                                                     .out = weights.data()});
            double total = 0;
            for (std::size_t i = 0; i < n; ++i) total += std::exp2(scores[i]);
            for (std::size_t i = 0; i < n; ++i) {
                const double expected = std::exp2(scores[i]) / total;
                EXPECT_NEAR(a[i] * share, expected, 1e-6) << kernels->name << " " << n;
                EXPECT_NEAR(weights[i] * unit, 0.5 * expected, 3e-5) << kernels->name << " " << n;
            }
            for (std::size_t i = n; i < padded; ++i) EXPECT_EQ(weights[i], 0);
        }
    }
}

TEST(Kernels, QuantisedRowsAreWithinHalfAStep) {
    std::mt19937 random(5);
    for (const Kernels* kernels : supported_kernels()) {
        for (const std::size_t n : {1UZ, 3UZ, 16UZ, 37UZ, 384UZ}) {
            const auto x = random_floats(n, random);
            std::vector<std::int32_t> out(n);
            float scale = 0;
            float offset = 0;
            QuantiseCall call{.x = x.data(),
                              .x_stride = n,
                              .rows = 1,
                              .n = n,
                              .out = out.data(),
                              .out_stride = n,
                              .scale = &scale,
                              .offset = &offset};
            kernels->quantise_i8(call);
            const auto* bytes = reinterpret_cast<const std::uint8_t*>(out.data());
            for (std::size_t i = 0; i < n; ++i) {
                EXPECT_NEAR(scale * bytes[i] + offset, x[i], 0.51F * scale + 1e-6F);
            }
            kernels->quantise_i16(call);
            const auto* shorts = reinterpret_cast<const std::int16_t*>(out.data());
            for (std::size_t i = 0; i < n; ++i) {
                EXPECT_NEAR(scale * shorts[i], x[i], 0.51F * scale + 1e-6F);
            }
        }
    }
}

}  // namespace
}  // namespace hearth::encoder
