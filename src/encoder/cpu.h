#pragma once

#include <cstddef>

namespace hearth::encoder {

// What this processor and this operating system let us use.
struct CpuFeatures {
    bool avx2 = false;      // with FMA and F16C
    bool avx_vnni = false;  // 256-bit int8 dot products
    bool avx512 = false;    // F, BW, DQ, VL
    bool avx512_vnni = false;
    bool amx_int8 = false;  // granted to this process
    bool amx_bf16 = false;
};

// Found once. Asks the kernel for the tile registers where the processor has them.
const CpuFeatures& cpu_features();

// CPUs this process may use: its affinity mask cut by the CPU quota of its control group, at
// least 1.
std::size_t usable_cpus();

}  // namespace hearth::encoder
