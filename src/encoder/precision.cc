#include "encoder/precision.h"

#include "base/format.h"

namespace hearth::encoder {

Precision choose_precision(Precision asked, const Kernels& kernels) {
    if (asked != Precision::Auto) return asked;
    if (kernels.fast_int8) return Precision::Int8;
    return kernels.gemm_bf16 != nullptr ? Precision::Bf16 : Precision::Fp32;
}

Numbers numbers_for(Precision precision, const Kernels& kernels) {
    switch (precision) {
        case Precision::Auto:
        case Precision::Fp32: return Numbers::F32;
        case Precision::Int8: return Numbers::I8;
        case Precision::Bf16: break;
    }
    if (kernels.gemm_bf16 != nullptr) return Numbers::Bf16;
    return kernels.fast_int16 ? Numbers::I16 : Numbers::F32;
}

Result<Precision> parse_precision(std::string_view text) {
    for (const Precision p : {Precision::Auto, Precision::Fp32, Precision::Bf16, Precision::Int8}) {
        if (text == to_string(p)) return p;
    }
    return fail(Code::InvalidArgument,
                format("\"{}\" is not a precision: auto, fp32, bf16 or int8", text));
}

std::string_view to_string(Precision precision) {
    switch (precision) {
        case Precision::Auto: return "auto";
        case Precision::Fp32: return "fp32";
        case Precision::Bf16: return "bf16";
        case Precision::Int8: return "int8";
    }
    return "";
}

}  // namespace hearth::encoder
