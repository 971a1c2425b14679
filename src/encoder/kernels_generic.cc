#include "encoder/kernels.h"

// The portable table: whatever the compiler makes of 128-bit vectors. Also the oracle of the tests.
#define HEARTH_LANES 4
#define HEARTH_TILE_ROWS 4

namespace hearth::encoder {
namespace {

typedef std::int32_t Ints __attribute__((vector_size(4 * HEARTH_LANES)));

inline Ints dot_i8(Ints acc, Ints a, Ints b) {
    for (int shift = 0; shift < 32; shift += 8) {
        acc += ((a >> shift) & 255) * ((b << (24 - shift)) >> 24);
    }
    return acc;
}
inline Ints dot_i16(Ints acc, Ints a, Ints b) {
    return acc + ((a << 16) >> 16) * ((b << 16) >> 16) + (a >> 16) * (b >> 16);
}
constexpr float kActivationMax = 255.0F;

#include "encoder/kernels_inl.h"

}  // namespace

Kernels make_generic_kernels() { return make_table("generic"); }

}  // namespace hearth::encoder
