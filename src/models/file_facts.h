#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>

#include "base/hash.h"

// What tells one model file from another without reading all of it. Only for the .cc files of this
// module.
namespace hearth::models {

// The header and 16 blocks of the data behind it: two fine-tunings of one model share the first and
// differ nearly everywhere in the second. Reading all of it would cost seconds at every start.
// `data_offset` is at most the length of `bytes`.
void hash_sampled(Sha256& hash, std::span<const std::byte> bytes, std::size_t data_offset);

// 0 when the file is gone.
std::int64_t modified_unix_ns(const std::filesystem::path& file);

}  // namespace hearth::models
