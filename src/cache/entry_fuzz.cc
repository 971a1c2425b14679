#include <xxhash.h>

#include <cstring>
#include <string>

#include "base/error.h"
#include "cache/entry.h"

// Whatever decode() takes, encode() writes so that it is taken again. The checksum is made right:
// behind it lies what is to be tested.
extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
    using namespace hearth::cache;
    std::string bytes(reinterpret_cast<const char*>(data), size);
    if (size > sizeof(XXH64_hash_t)) {
        const std::size_t summed = size - sizeof(XXH64_hash_t);
        const XXH64_hash_t sum = XXH3_64bits(bytes.data(), summed);
        std::memcpy(bytes.data() + summed, &sum, sizeof sum);
    }
    const auto entry = decode(bytes);
    if (!entry) return 0;
    const auto again = decode(encode(*entry));
    CHECK(again && again->payload == entry->payload && again->space == entry->space);
    return 0;
}
