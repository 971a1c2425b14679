#include "base/error.h"
#include "cache/entry.h"

// Whatever decode() takes, encode() writes so that it is taken again.
extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
    const auto entry = hearth::cache::decode({reinterpret_cast<const char*>(data), size});
    if (!entry) return 0;
    const auto again = hearth::cache::decode(hearth::cache::encode(*entry));
    CHECK(again && again->payload == entry->payload && again->space == entry->space);
    return 0;
}
