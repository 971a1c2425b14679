#pragma once

#include <cstddef>
#include <string>

namespace hearth::bench {

struct GemmShape {
    std::size_t m = 0, n = 0, k = 0;
};

// Multiply-adds per second that oneDNN's matrix product sustains for an eighth of a second:
// `threads` threads run sequential products at the same time, which is how a machine is used best.
// `type` is "f32", "bf16", "u8s8" or "s8s8". 0 where oneDNN is not built in or does not offer the
// type.
double onednn_macs_per_s(const std::string& type, const GemmShape& shape, std::size_t threads);

}  // namespace hearth::bench
