#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "models/manifest.h"

// Which bytes of a blob are fetched by which request. Pure.
namespace hearth::fetch {

inline constexpr std::uint64_t kBlobBytesMax = std::uint64_t{4} << 40;
inline constexpr std::size_t kPartsMax = 8192;  // of one blob

// Bytes [begin, begin + size) of a blob, of which the first `done` are there.
struct Part {
    std::uint64_t begin = 0;
    std::uint64_t size = 0;
    std::uint64_t done = 0;

    bool complete() const { return done == size; }
    std::uint64_t next() const { return begin + done; }      // the first byte that is missing
    std::uint64_t last() const { return begin + size - 1; }  // of a part that is not empty
    bool operator==(const Part&) const = default;
};

struct PartSizes {
    unsigned parts = 16;                                // wanted, and fetched at a time
    std::uint64_t bytes_min = std::uint64_t{64} << 20;  // smaller blobs are one part
    std::uint64_t bytes_max = std::uint64_t{1} << 30;   // more parts rather than larger ones
};

// Parts that cover [0, total) in order; none for an empty blob. `total` at most kBlobBytesMax.
std::vector<Part> plan_parts(std::uint64_t total, const PartSizes& sizes);

std::uint64_t bytes_done(const std::vector<Part>& parts);

// Content-Range of a 206 (RFC 9110 section 14.4): "bytes 0-9/100", the total "*" when unknown.
struct ContentRange {
    std::uint64_t first = 0;
    std::uint64_t last = 0;
    std::optional<std::uint64_t> total;
};
std::optional<ContentRange> parse_content_range(std::string_view value);

// The small file beside a partial blob. parse_state() accepts what encode_state() wrote for the
// same blob: parts that cover it in order. Errors: store (the state is of no use).
std::string encode_state(const models::Digest& digest, const std::vector<Part>& parts);
Result<std::vector<Part>> parse_state(std::string_view text, const models::Digest& digest,
                                      std::uint64_t total);

}  // namespace hearth::fetch
