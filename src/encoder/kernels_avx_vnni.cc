#include <immintrin.h>

#include "encoder/kernels.h"

#define HEARTH_LANES 8
#define HEARTH_TILE_ROWS 6

namespace hearth::encoder {
namespace {

typedef std::int32_t Ints __attribute__((vector_size(4 * HEARTH_LANES)));

inline Ints dot_i8(Ints acc, Ints a, Ints b) {
    return (Ints)_mm256_dpbusd_avx_epi32((__m256i)acc, (__m256i)a, (__m256i)b);
}
// Not the intrinsic: LLVM takes it apart into two instructions.
inline Ints dot_i16(Ints acc, Ints a, Ints b) {
    asm("%{vex%} vpdpwssd %2, %1, %0" : "+x"(acc) : "x"(a), "x"(b));
    return acc;
}
constexpr float kActivationMax = 255.0F;

#include "encoder/kernels_inl.h"

}  // namespace

Kernels make_avx_vnni_kernels() {
    Kernels table = make_table("avx-vnni");
    table.fast_int8 = true;
    table.fast_int16 = true;
    return table;
}

}  // namespace hearth::encoder
