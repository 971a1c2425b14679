// The body of every kernels_*.cc: included once by each, after it has defined
//   HEARTH_LANES      floats in a register
//   HEARTH_TILE_ROWS  rows of a register tile: two accumulators each, and three registers to spare
//   dot_i8, dot_i16   acc + the dot products inside each 4-byte unit
// Nothing here may call an inline function of another header: the linker could keep the copy that
// was compiled for the newer processor. Hence no standard library beyond fixed-width integers.
// NOLINTBEGIN
#if defined(__clang__)
#define HEARTH_UNROLL _Pragma("unroll")
#else
#define HEARTH_UNROLL _Pragma("GCC unroll 16")
#endif

constexpr int L = HEARTH_LANES;
constexpr int P = 2 * L;

template <class T, int N>
struct VectorOf {
    typedef T Type __attribute__((vector_size(sizeof(T) * N)));
};
using VF = VectorOf<float, L>::Type;
using VI = VectorOf<std::int32_t, L>::Type;

template <class V>
inline V load(const void* from) {
    V v;
    __builtin_memcpy(&v, from, sizeof(V));
    return v;
}
template <class V>
inline void store(void* to, V v) {
    __builtin_memcpy(to, &v, sizeof(V));
}
inline VF splat(float x) {
    return x - VF{};
}  // x + 0 would turn -0 into 0, and so cost an addition
inline VI splat_int(std::int32_t x) { return VI{} + x; }
inline VF as_float(VI v) { return (VF)v; }
inline VI as_int(VF v) { return (VI)v; }
inline VF lesser(VF a, VF b) { return a < b ? a : b; }
inline VF greater(VF a, VF b) { return a > b ? a : b; }

// The lower and the upper half of a vector, joined by f until one value is left.
template <int N, class Fold>
inline float fold(typename VectorOf<float, N>::Type v, Fold f) {
    if constexpr (N == 16) {
        return fold<8>(f(__builtin_shufflevector(v, v, 0, 1, 2, 3, 4, 5, 6, 7),
                         __builtin_shufflevector(v, v, 8, 9, 10, 11, 12, 13, 14, 15)),
                       f);
    } else if constexpr (N == 8) {
        return fold<4>(
            f(__builtin_shufflevector(v, v, 0, 1, 2, 3), __builtin_shufflevector(v, v, 4, 5, 6, 7)),
            f);
    } else {
        static_assert(N == 4);
        const auto pair = f(v, __builtin_shufflevector(v, v, 2, 3, 2, 3));
        return f(pair, __builtin_shufflevector(pair, pair, 1, 1, 1, 1))[0];
    }
}
inline float sum_of(VF v) {
    return fold<L>(v, [](auto a, auto b) { return a + b; });
}
inline float max_of(VF v) {
    return fold<L>(v, [](auto a, auto b) { return a > b ? a : b; });
}
inline float min_of(VF v) {
    return fold<L>(v, [](auto a, auto b) { return a < b ? a : b; });
}

// The first `n` (< L) floats, zeros after them.
inline VF load_some(const float* from, std::size_t n) {
    float lanes[L] = {};
    for (std::size_t i = 0; i < n; ++i) lanes[i] = from[i];
    return load<VF>(lanes);
}
inline void store_some(float* to, VF v, std::size_t n) {
    float lanes[L];
    store(lanes, v);
    for (std::size_t i = 0; i < n; ++i) to[i] = lanes[i];
}

// x * 1.5 * 2^23: adding it leaves round-to-nearest(x) in the low bits.
constexpr float kRounder = 12582912.0F;

// How exact a function need be for the number types it meets.
enum class Accuracy { Full, Good, Coarse };

// Minimax fits of 2^f on [-1/2, 1/2]: relative error 2e-9 before rounding, and 2.6e-6.
template <Accuracy A>
inline VF exp2_of(VF x) {
    x = greater(x, splat(-100.0F));  // far from denormals, which cost a trap each
    const VF shifted = x + kRounder;
    const VF f = x - (shifted - kRounder);
    VF p;
    if constexpr (A == Accuracy::Full) {
        p = splat(0.0001534581242594868F);
        p = p * f + 0.0013399930903688073F;
        p = p * f + 0.009618489071726799F;
        p = p * f + 0.05550328642129898F;
        p = p * f + 0.24022646248340607F;
        p = p * f + 0.6931471824645996F;
        p = p * f + 1.0F;
    } else {
        p = splat(0.009570102207362652F);
        p = p * f + 0.05591786280274391F;
        p = p * f + 0.240247443318367F;
        p = p * f + 0.6931217908859253F;
        p = p * f + 0.9999992847442627F;
    }
    return as_float(as_int(p) + (as_int(shifted) << 23));
}

inline VF sigmoid(VF x) {
    return 1.0F / (1.0F + exp2_of<Accuracy::Full>(lesser(x * -1.44269504F, splat(126.0F))));
}

// x * Phi(x), Phi(x) - 1/2 = x P(x^2) on [-limit, limit], fitted to the greatest error of the
// product: 1e-6, 2.5e-6 and 6e-5, and exact at the limit so that the tails are 0 and x.
template <Accuracy A>
inline VF gelu(VF x) {
    constexpr float kLimit = A == Accuracy::Full ? 5.4F : A == Accuracy::Good ? 5.0F : 3.8F;
    const VF c = lesser(greater(x, splat(-kLimit)), splat(kLimit));
    const VF u = (c * c) * (2 / (kLimit * kLimit)) + -1.0F;
    VF p;
    if constexpr (A == Accuracy::Full) {
        p = splat(0.0004737359704449773F);
        p = p * u + -0.001138515304774046F;
        p = p * u + 0.0006851587677374482F;
        p = p * u + -0.0008940348052419722F;
        p = p * u + 0.0038099996745586395F;
        p = p * u + -0.007007364183664322F;
        p = p * u + 0.009610642679035664F;
        p = p * u + -0.013827042654156685F;
        p = p * u + 0.019641779363155365F;
        p = p * u + -0.025776337832212448F;
        p = p * u + 0.03211938217282295F;
        p = p * u + -0.039204128086566925F;
        p = p * u + 0.048499319702386856F;
        p = p * u + -0.06532812118530273F;
        p = p * u + 0.13092811405658722F;
    } else if constexpr (A == Accuracy::Good) {
        p = splat(-0.001044830190949142F);
        p = p * u + 0.003173745470121503F;
        p = p * u + -0.004007940646260977F;
        p = p * u + 0.0051557705737650394F;
        p = p * u + -0.010063485242426395F;
        p = p * u + 0.01688029058277607F;
        p = p * u + -0.02366187982261181F;
        p = p * u + 0.0313650406897068F;
        p = p * u + -0.04038664326071739F;
        p = p * u + 0.05152461677789688F;
        p = p * u + -0.0702984407544136F;
        p = p * u + 0.14136375486850739F;
    } else {
        p = splat(0.00601555872708559F);
        p = p * u + -0.01455655787140131F;
        p = p * u + 0.019562065601348877F;
        p = p * u + -0.03219011053442955F;
        p = p * u + 0.05521932989358902F;
        p = p * u + -0.0872301235795021F;
        p = p * u + 0.18475878238677979F;
    }
    return x * (c * p + 0.5F);
}

inline VF gelu_tanh(VF x) { return x * sigmoid(x * (x * x * 0.0713548162726F + 1.5957691216057F)); }

struct F32Product {
    using Accumulator = VF;
    static constexpr Accuracy kAccuracy = Accuracy::Full;
    static constexpr bool kScaled = false;
    static constexpr bool kOffset = false;
    static VF broadcast(const std::int32_t* unit) { return splat(load<float>(unit)); }
    static VF multiply_add(VF acc, VF a, VF b) { return acc + a * b; }
};
struct I16Product {
    using Accumulator = VI;
    static constexpr Accuracy kAccuracy = Accuracy::Good;
    static constexpr bool kScaled = true;
    static constexpr bool kOffset = false;
    static VI broadcast(const std::int32_t* unit) { return splat_int(*unit); }
    static VI multiply_add(VI acc, VI a, VI b) { return dot_i16(acc, a, b); }
};
struct I8Product {
    using Accumulator = VI;
    static constexpr Accuracy kAccuracy = Accuracy::Coarse;
    static constexpr bool kScaled = true;
    static constexpr bool kOffset = true;
    static VI broadcast(const std::int32_t* unit) { return splat_int(*unit); }
    static VI multiply_add(VI acc, VI a, VI b) { return dot_i8(acc, a, b); }
};
// Sums of matrix-tile products: finished floats.
struct Bf16Product : F32Product {
    static constexpr Accuracy kAccuracy = Accuracy::Good;
};

constexpr std::size_t kLine = 64;

template <class Product>
using Sums = typename Product::Accumulator[HEARTH_TILE_ROWS][2];

// R rows x one panel, accumulated over all of k in registers. Addresses are arranged by hand: one
// pointer per three rows and four steps of k per turn, because with a pointer per row the processor
// would spend more instructions on addresses than it can decode beside the products. The empty asm
// keeps the compiler from working the relation between the pointers out again. `ahead` is where the
// next weights lie: they are asked for a cache line per turn, because those of a whole model are
// further away than the processor looks by itself.
template <class Product, int R>
__attribute__((noinline)) void tile(const std::int32_t* a, std::size_t a_stride,
                                    const std::int32_t* b, std::size_t k_units, const char* ahead,
                                    Sums<Product>& sums) {
    using Acc = typename Product::Accumulator;
    constexpr int kPointers = (R + 2) / 3;
    Acc acc[R][2] = {};
    const char* rows[kPointers];
    std::size_t stride = a_stride * 4;
    HEARTH_UNROLL
    for (int p = 0; p < kPointers; ++p) {
        rows[p] = reinterpret_cast<const char*>(a) + static_cast<std::size_t>(3 * p) * stride;
    }
    const auto step = [&](int u) __attribute__((always_inline)) {
        const Acc b0 = load<Acc>(b + u * P);
        const Acc b1 = load<Acc>(b + u * P + L);
        HEARTH_UNROLL
        for (int r = 0; r < R; ++r) {
            const char* at = rows[r / 3] + static_cast<std::size_t>(r % 3) * stride + u * 4;
            const Acc x = Product::broadcast(reinterpret_cast<const std::int32_t*>(at));
            acc[r][0] = Product::multiply_add(acc[r][0], x, b0);
            acc[r][1] = Product::multiply_add(acc[r][1], x, b1);
        }
    };
    const auto advance = [&](int units) __attribute__((always_inline)) {
        b += units * P;
        HEARTH_UNROLL
        for (int p = 0; p < kPointers; ++p) {
            rows[p] += units * 4;
            asm("" : "+r"(rows[p]));
        }
    };
    asm("" : "+r"(stride));
    for (std::size_t k = k_units / 4; k > 0; --k) {
        HEARTH_UNROLL
        for (int u = 0; u < 4; ++u) step(u);
        __builtin_prefetch(ahead, 0, 2);
        ahead += kLine;
        advance(4);
    }
    for (std::size_t k = k_units % 4; k > 0; --k) {
        step(0);
        advance(1);
    }
    HEARTH_UNROLL
    for (int r = 0; r < R; ++r) {
        sums[r][0] = acc[r][0];
        sums[r][1] = acc[r][1];
    }
}

inline VF to_float(VF v) { return v; }
inline VF to_float(VI v) { return __builtin_convertvector(v, VF); }

// Scales and biases of one register of columns.
template <class Product>
struct Columns {
    VF scale, sum, bias;

    Columns(const GemmCall& call, std::size_t column) : scale{}, sum{}, bias{} {
        if (Product::kScaled && call.col_scale != nullptr) {
            scale = load<VF>(call.col_scale + column);
        }
        if (Product::kOffset && call.col_sum != nullptr) sum = load<VF>(call.col_sum + column);
        if (call.bias != nullptr) bias = load<VF>(call.bias + column);
    }
    // An accumulator scaled back to what it stands for.
    VF value(typename Product::Accumulator acc, float row_scale, float row_offset) const {
        VF v = to_float(acc);
        if constexpr (Product::kOffset) {
            v = v * (scale * row_scale) + (sum * row_offset + bias);
        } else if constexpr (Product::kScaled) {
            v = v * (scale * row_scale) + bias;
        } else {
            v = v + bias;
        }
        return v;
    }
};

// What an epilogue does not use is null, and stays so.
inline const float* shifted(const float* from, std::size_t by) {
    return from == nullptr ? nullptr : from + by;
}

template <class Product, Epilogue E>
inline VF finish_value(VF v, const float* residual) {
    if constexpr (E == Epilogue::Residual) return v + load<VF>(residual);
    if constexpr (E == Epilogue::Gelu) return gelu<Product::kAccuracy>(v);
    if constexpr (E == Epilogue::GeluTanh) return gelu_tanh(v);
    if constexpr (E == Epilogue::Relu) return greater(v, VF{});
    return v;
}

// `call` is taken by value: stores through its pointers cannot touch a local copy.
template <class Product, Epilogue E>
void finish(const GemmCall& shared, const Sums<Product>& sums, std::size_t row0, int rows,
            std::size_t panel) {
    const GemmCall call = shared;
    const std::size_t column = panel * P;
    const std::size_t width = E == Epilogue::SwiGlu ? L : P;
    const std::size_t first = row0 * call.out_stride + panel * width;
    float* out = call.out + first;
    const float* residual = shifted(call.residual, first);
    const float* row_scale = shifted(call.row_scale, row0);
    const float* row_offset = shifted(call.row_offset, row0);
    const Columns<Product> left(call, column);
    const Columns<Product> right(call, column + L);
    for (int r = 0; r < rows; ++r) {
        if constexpr (E == Epilogue::RowScale) {
            store(out, to_float(sums[r][0]) * row_scale[r]);
            store(out + L, to_float(sums[r][1]) * row_scale[r]);
        } else {
            const float scale = Product::kScaled ? row_scale[r] : 1.0F;
            const float offset = Product::kOffset ? row_offset[r] : 0.0F;
            const VF a = left.value(sums[r][0], scale, offset);
            const VF b = right.value(sums[r][1], scale, offset);
            if constexpr (E == Epilogue::SwiGlu) {
                store(out, a * b * sigmoid(b));
            } else {
                store(out, finish_value<Product, E>(a, residual));
                store(out + L, finish_value<Product, E>(b, shifted(residual, L)));
            }
        }
        out += call.out_stride;
        if constexpr (E == Epilogue::Residual) residual += call.out_stride;
    }
}

template <class Product>
using Finish = void (*)(const GemmCall&, const Sums<Product>&, std::size_t, int, std::size_t);

template <class Product>
Finish<Product> finish_for(Epilogue epilogue) {
    switch (epilogue) {
        case Epilogue::Bias: return finish<Product, Epilogue::Bias>;
        case Epilogue::Residual: return finish<Product, Epilogue::Residual>;
        case Epilogue::Gelu: return finish<Product, Epilogue::Gelu>;
        case Epilogue::GeluTanh: return finish<Product, Epilogue::GeluTanh>;
        case Epilogue::Relu: return finish<Product, Epilogue::Relu>;
        case Epilogue::SwiGlu: return finish<Product, Epilogue::SwiGlu>;
        case Epilogue::Scores: return finish<Product, Epilogue::Scores>;
        case Epilogue::RowScale: return finish<Product, Epilogue::RowScale>;
    }
    __builtin_unreachable();
}

template <class Product>
using Tile = void (*)(const std::int32_t*, std::size_t, const std::int32_t*, std::size_t,
                      const char*, Sums<Product>&);

template <class Product, int R>
Tile<Product> tile_for(int rows) {
    if constexpr (R == 1) {
        return tile<Product, 1>;
    } else {
        return rows == R ? tile<Product, R> : tile_for<Product, R - 1>(rows);
    }
}

// Rows are dealt evenly over as few tiles as hold them: a last tile of one row would cost nearly as
// much as a full one.
struct RowSplit {
    std::size_t tiles = 1, base, extra = 0;
    RowSplit(std::size_t rows, std::size_t tile_rows) : base(rows) {
        if (rows <= tile_rows) return;
        const auto count = static_cast<std::uint32_t>(rows);
        const auto parts = (count + static_cast<std::uint32_t>(tile_rows) - 1) /
                           static_cast<std::uint32_t>(tile_rows);
        tiles = parts;
        base = count / parts;
        extra = count % parts;
    }
};

template <class Product>
void gemm(const GemmCall& call) {
    if (call.rows == 0) return;
    const RowSplit split(call.rows, HEARTH_TILE_ROWS);
    const Tile<Product> small = tile_for<Product, HEARTH_TILE_ROWS>(static_cast<int>(split.base));
    const Tile<Product> large = tile_for<Product, HEARTH_TILE_ROWS>(
        static_cast<int>(split.extra > 0 ? split.base + 1 : split.base));
    const Finish<Product> done = finish_for<Product>(call.epilogue);
    const auto* a = static_cast<const std::int32_t*>(call.a);
    const auto* b = static_cast<const std::int32_t*>(call.b);
    Sums<Product> sums;
    for (std::size_t panel = 0; panel < call.panels; ++panel) {
        const std::int32_t* columns = b + panel * call.panel_units * P;
        const bool last = panel + 1 == call.panels;
        const char* ahead =
            reinterpret_cast<const char*>(last ? b : columns + call.panel_units * P);
        std::size_t row = 0;
        for (std::size_t t = 0; t < split.tiles; ++t) {
            const bool more = t < split.extra;
            const std::size_t rows = split.base + (more ? 1 : 0);
            (more ? large : small)(a + row * call.a_stride, call.a_stride, columns, call.k_units,
                                   ahead, sums);
            ahead += call.k_units / 4 * kLine;
            done(call, sums, row, static_cast<int>(rows), panel);
            row += rows;
        }
    }
}
#include "encoder/kernels_rows_inl.h"

Kernels make_table(const char* name) {
    Kernels table;
    table.name = name;
    table.lanes = L;
    table.tile_rows = HEARTH_TILE_ROWS;
    table.activation_max = kActivationMax;
    table.gemm_f32 = gemm<F32Product>;
    table.gemm_i16 = gemm<I16Product>;
    table.gemm_i8 = gemm<I8Product>;
    table.quantise_i8 = quantise_i8_rows;
    table.quantise_i16 = quantise_i16_rows;
    table.quantise_bf16 = quantise_bf16_rows;
    table.layer_norm = layer_norm_rows;
    table.add = add_row;
    table.softmax_f32 = softmax_f32_row;
    table.softmax_i16 = softmax_i16_row;
    table.transpose = transpose_units;
    table.interleave_i16 = interleave_i16_rows;
    return table;
}
// NOLINTEND
