#include <cstddef>
#include <cstdint>
#include <string_view>

#include "models/gguf_name.h"
#include "models/model_name.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace hearth::models;
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    if (model_name_part(text).empty()) __builtin_trap();
    if (const auto said = parse_gguf_file_name(text); said && said->name.size() > size) {
        __builtin_trap();
    }
    const auto name = ModelName::parse(text);
    if (!name) return 0;
    // A path of four parts that stays where it is put, and names that mean the same.
    const std::filesystem::path path = name->relative_path();
    if (path.lexically_normal() != path || path.is_absolute()) __builtin_trap();
    const auto from_path = ModelName::parse_path(path);
    const auto shown = ModelName::parse(name->display());
    if (!from_path || !shown) __builtin_trap();
    if (from_path->key() != name->key() || shown->key() != name->key()) __builtin_trap();
    return 0;
}
