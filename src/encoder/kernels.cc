#include "encoder/kernels.h"

#include <vector>

#include "encoder/cpu.h"

namespace hearth::encoder {

// One per kernels_*.cc. They are compiled for their processor: never called before it is known to
// be here.
Kernels make_generic_kernels();
#if defined(__x86_64__)
Kernels make_avx2_kernels();
Kernels make_avx_vnni_kernels();
Kernels make_avx512_kernels();
Kernels make_avx512_vnni_kernels();
Kernels make_amx_kernels();
#endif

namespace {

std::vector<Kernels> make_tables() {
    std::vector<Kernels> tables;
#if defined(__x86_64__)
    const CpuFeatures& cpu = cpu_features();
    if (cpu.amx_int8 && cpu.amx_bf16) tables.push_back(make_amx_kernels());
    if (cpu.avx512_vnni) tables.push_back(make_avx512_vnni_kernels());
    if (cpu.avx512) tables.push_back(make_avx512_kernels());
    if (cpu.avx_vnni) tables.push_back(make_avx_vnni_kernels());
    if (cpu.avx2) tables.push_back(make_avx2_kernels());
#endif
    tables.push_back(make_generic_kernels());
    return tables;
}

}  // namespace

std::span<const Kernels* const> supported_kernels() {
    static const std::vector<Kernels> tables = make_tables();
    static const std::vector<const Kernels*> pointers = [] {
        std::vector<const Kernels*> list;
        for (const Kernels& table : tables) list.push_back(&table);
        return list;
    }();
    return pointers;
}

}  // namespace hearth::encoder
