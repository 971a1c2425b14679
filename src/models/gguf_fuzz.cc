#include <cstddef>
#include <cstdint>
#include <span>

#include "models/gguf.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto bytes = std::as_bytes(std::span(data, size));
    const auto header = hearth::models::parse_gguf_header(bytes, size);
    if (!header) return 0;
    // What was accepted must lie inside the file.
    std::uint64_t total = 0;
    for (const auto& tensor : header->tensors) total += tensor.bytes;
    if (!header->tensors.empty() && total > size - header->data_offset) __builtin_trap();
    // So must the texts of its lists.
    for (const auto& [key, value] : header->values) {
        const auto* list = std::get_if<hearth::models::GgufList>(&value);
        if (list == nullptr) continue;
        const auto* end = reinterpret_cast<const char*>(data) + size;
        const auto visited = hearth::models::visit_gguf_texts(bytes, *list, [&](auto text) {
            if (text.data() + text.size() > end) __builtin_trap();
            return true;
        });
        if (!visited) __builtin_trap();
    }
    return 0;
}
