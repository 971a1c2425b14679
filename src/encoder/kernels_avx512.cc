#include <immintrin.h>

#include "encoder/kernels.h"

#define HEARTH_LANES 16
#define HEARTH_TILE_ROWS 14

namespace hearth::encoder {
namespace {

typedef std::int32_t Ints __attribute__((vector_size(4 * HEARTH_LANES)));

// Seven-bit activations, as in kernels_avx2.cc.
inline Ints dot_i8(Ints acc, Ints a, Ints b) {
    const __m512i pairs = _mm512_maddubs_epi16((__m512i)a, (__m512i)b);
    return acc + (Ints)_mm512_madd_epi16(pairs, _mm512_set1_epi16(1));
}
inline Ints dot_i16(Ints acc, Ints a, Ints b) {
    return acc + (Ints)_mm512_madd_epi16((__m512i)a, (__m512i)b);
}
constexpr float kActivationMax = 127.0F;

#include "encoder/kernels_inl.h"

}  // namespace

Kernels make_avx512_kernels() { return make_table("avx512"); }

}  // namespace hearth::encoder
