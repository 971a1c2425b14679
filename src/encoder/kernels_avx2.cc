#include <immintrin.h>

#include "encoder/kernels.h"

#define HEARTH_LANES 8
#define HEARTH_TILE_ROWS 6

namespace hearth::encoder {
namespace {

typedef std::int32_t Ints __attribute__((vector_size(4 * HEARTH_LANES)));

// Pairs of products are added in 16 bits here: 2 x 127 x 127 still fits, so activations use 7 bits.
inline Ints dot_i8(Ints acc, Ints a, Ints b) {
    const __m256i pairs = _mm256_maddubs_epi16((__m256i)a, (__m256i)b);
    return acc + (Ints)_mm256_madd_epi16(pairs, _mm256_set1_epi16(1));
}
inline Ints dot_i16(Ints acc, Ints a, Ints b) {
    return acc + (Ints)_mm256_madd_epi16((__m256i)a, (__m256i)b);
}
constexpr float kActivationMax = 127.0F;

#include "encoder/kernels_inl.h"

}  // namespace

Kernels make_avx2_kernels() { return make_table("avx2"); }

}  // namespace hearth::encoder
