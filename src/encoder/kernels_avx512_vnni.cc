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

}  // namespace

Kernels make_avx512_vnni_kernels() {
    Kernels table = make_table("avx512-vnni");
    table.fast_int8 = true;
    table.fast_int16 = true;
    return table;
}

}  // namespace hearth::encoder
