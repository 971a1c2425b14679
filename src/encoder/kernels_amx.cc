#include <immintrin.h>

#include "encoder/kernels.h"

#define HEARTH_LANES 16
#define HEARTH_TILE_ROWS 14

namespace hearth::encoder {
namespace {

typedef std::int32_t Ints __attribute__((vector_size(4 * HEARTH_LANES)));

inline Ints dot_i8(Ints acc, Ints a, Ints b) {
    return (Ints)_mm512_dpbusd_epi32((__m512i)acc, (__m512i)a, (__m512i)b);
}
// Not the intrinsic: LLVM takes it apart into two instructions, which halves the rate.
inline Ints dot_i16(Ints acc, Ints a, Ints b) {
    asm("vpdpwssd %2, %1, %0" : "+v"(acc) : "v"(a), "v"(b));
    return acc;
}
constexpr float kActivationMax = 255.0F;

#include "encoder/kernels_inl.h"

// Palette 1: eight tiles of at most 16 rows x 64 bytes. 0-3 sums, 4-5 rows of a, 6-7 columns of b.
struct alignas(64) TileConfig {
    std::uint8_t palette = 1;
    std::uint8_t start_row = 0;
    std::uint8_t reserved[14] = {};
    std::uint16_t row_bytes[16] = {};
    std::uint8_t rows[16] = {};
};

void configure(std::size_t upper, std::size_t lower) {
    TileConfig config;
    for (int t = 0; t < 8; ++t) config.row_bytes[t] = 64;
    config.rows[0] = config.rows[1] = config.rows[4] = static_cast<std::uint8_t>(upper);
    config.rows[2] = config.rows[3] = config.rows[5] =
        static_cast<std::uint8_t>(lower > 0 ? lower : 1);
    config.rows[6] = config.rows[7] = 16;
    _tile_loadconfig(&config);
}

// Up to 32 rows x one panel; k in steps of 16 units, which panels and rows are padded to.
template <bool kBytes>
void multiply_tiles(const GemmCall& call, const std::int32_t* a, const std::int32_t* b,
                    std::size_t upper, std::size_t lower, std::int32_t* sums) {
    const std::size_t a_bytes = call.a_stride * 4;
    constexpr std::size_t kPanelBytes = P * 4;
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    const std::int32_t* a_lower = lower > 0 ? a + upper * call.a_stride : a;
    for (std::size_t k = 0; k < call.k_units; k += 16) {
        _tile_loadd(4, a + k, a_bytes);
        _tile_loadd(5, a_lower + k, a_bytes);
        _tile_loadd(6, b + k * P, kPanelBytes);
        _tile_loadd(7, b + k * P + 16, kPanelBytes);
        if constexpr (kBytes) {
            _tile_dpbusd(0, 4, 6);
            _tile_dpbusd(1, 4, 7);
            _tile_dpbusd(2, 5, 6);
            _tile_dpbusd(3, 5, 7);
        } else {
            _tile_dpbf16ps(0, 4, 6);
            _tile_dpbf16ps(1, 4, 7);
            _tile_dpbf16ps(2, 5, 6);
            _tile_dpbf16ps(3, 5, 7);
        }
    }
    _tile_stored(0, sums, kPanelBytes);
    _tile_stored(1, sums + 16, kPanelBytes);
    if (lower > 0) {
        _tile_stored(2, sums + upper * P, kPanelBytes);
        _tile_stored(3, sums + upper * P + 16, kPanelBytes);
    }
}

template <class Product, bool kBytes>
void gemm_tiles(const GemmCall& call) {
    if (call.rows == 0) return;
    const Finish<Product> done = finish_for<Product>(call.epilogue);
    const RowSplit split(call.rows, 32);
    const auto* a = static_cast<const std::int32_t*>(call.a);
    const auto* b = static_cast<const std::int32_t*>(call.b);
    std::size_t row = 0;
    alignas(64) std::int32_t buffer[32 * P];
    for (std::size_t t = 0; t < split.tiles; ++t) {
        const std::size_t rows = split.base + (t < split.extra ? 1 : 0);
        const std::size_t upper = rows > 16 ? 16 : rows;
        configure(upper, rows - upper);
        for (std::size_t panel = 0; panel < call.panels; ++panel) {
            multiply_tiles<kBytes>(call, a + row * call.a_stride, b + panel * call.panel_units * P,
                                   upper, rows - upper, buffer);
            for (std::size_t r = 0; r < rows; r += HEARTH_TILE_ROWS) {
                const std::size_t some = rows - r < HEARTH_TILE_ROWS ? rows - r : HEARTH_TILE_ROWS;
                Sums<Product> sums;
                __builtin_memcpy(&sums, buffer + r * P, some * P * 4);
                done(call, sums, row + r, static_cast<int>(some), panel);
            }
        }
        row += rows;
    }
    _tile_release();
}

}  // namespace

Kernels make_amx_kernels() {
    Kernels table = make_table("amx");
    table.fast_int8 = true;
    table.fast_int16 = true;
    table.unit_step = 16;
    table.gemm_i8 = gemm_tiles<I8Product, true>;
    table.gemm_bf16 = gemm_tiles<Bf16Product, false>;
    return table;
}

}  // namespace hearth::encoder
