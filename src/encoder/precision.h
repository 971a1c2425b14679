#pragma once

#include "encoder/engine.h"
#include "encoder/kernels.h"

namespace hearth::encoder {

// Auto: int8 where the machine has instructions for it, else bf16 where it has those, else fp32.
Precision choose_precision(Precision asked, const Kernels& kernels);

// Reduced precision runs as fast as the machine can: in bfloat16 tiles, else in int16 products,
// which round less than bfloat16 does, else in float32.
Numbers numbers_for(Precision precision, const Kernels& kernels);

}  // namespace hearth::encoder
