#include <cstddef>
#include <cstdint>
#include <string_view>

#include "backends/worker/protocol.h"

// Whatever decodes must encode to bytes that decode to the same.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace hearth::worker;
    const std::string_view bytes(reinterpret_cast<const char*>(data), size);
    if (const auto call = decode_call(bytes)) {
        const std::string again = encode_call(*call);
        const auto second = decode_call(again);
        CHECK(second && encode_call(*second) == again);
    }
    if (const auto answer = decode_answer(bytes)) {
        CHECK(answer->vectors.size() == answer->tokens.size() * answer->dimension);
    }
    if (const auto error = decode_error(bytes)) {
        CHECK(decode_error(encode_error(*error)).has_value());
    }
    if (const auto heartbeat = decode_heartbeat(bytes)) {
        CHECK(*decode_heartbeat(encode_heartbeat(*heartbeat)) == *heartbeat);
    }
    if (const auto info = decode_info(bytes)) CHECK(*decode_info(encode_info(*info)) == *info);
    return 0;
}
