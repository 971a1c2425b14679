#include <cstddef>
#include <cstdint>
#include <string_view>

#include "models/manifest.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace hearth::models;
    const auto manifest =
        parse_manifest(std::string_view(reinterpret_cast<const char*>(data), size));
    if (!manifest) return 0;
    for (const Layer& layer : manifest->layers) {
        if (layer.digest.file_name().find_first_of("/.") != std::string::npos) __builtin_trap();
    }
    // What was accepted comes back as it was.
    const auto again = parse_manifest(encode_manifest(*manifest));
    if (!again || again->layers.size() != manifest->layers.size()) __builtin_trap();
    if (again->size() != manifest->size()) __builtin_trap();
    return 0;
}
