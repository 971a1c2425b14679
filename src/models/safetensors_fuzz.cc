#include <cstddef>
#include <cstdint>
#include <span>

#include "models/safetensors.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto bytes = std::as_bytes(std::span(data, size));
    const auto header = hearth::models::parse_safetensors_header(bytes, size);
    if (!header) return 0;
    // What was accepted must lie inside the file.
    for (const auto& [name, entry] : header->entries) {
        if (entry.begin > entry.end || entry.end > size - header->data_offset) __builtin_trap();
    }
    return 0;
}
