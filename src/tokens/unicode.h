#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

// What BERT's normalizer asks about a code point, as the Hugging Face tokenizers answer it: general
// categories of Unicode 8, canonical decomposition of Unicode 9, lower case of Unicode 17, on every
// machine. Source: unicode_generate.cc, which makes the tables at build time and checks their
// digest.
namespace hearth::tokens {

enum CharFlag : std::uint8_t {
    kControl = 1,      // what clean_text drops: Cc, Cf, Co, U+0000 and U+FFFD, but not \t \n \r
    kWhitespace = 2,   // White_Space
    kPunctuation = 4,  // P* and all ASCII punctuation
    kNonspacing = 8,   // Mn, dropped by strip_accents
    kIdeograph = 16,   // gets spaces around it
    kWordChar = 32,    // \w of a regular expression
};

struct CharRecord {
    std::uint8_t flags;
    std::uint8_t combining_class;
    std::uint8_t decomposition_size;  // 0: none; Hangul syllables are computed instead
    std::uint16_t decomposition_begin;
    std::int32_t lower_delta;  // U+0130 has a two-character lower case and is left to the caller
};

namespace unicode_tables {
inline constexpr std::size_t kBlock = 128;
extern const std::uint16_t kBlocks[];
extern const std::uint16_t kIndex[];
extern const CharRecord kRecords[];
extern const char32_t kDecompositions[];
}  // namespace unicode_tables

// `c` is at most U+10FFFF.
inline const CharRecord& char_record(char32_t c) {
    using namespace unicode_tables;
    return kRecords[kIndex[kBlocks[c / kBlock] * kBlock + c % kBlock]];
}

inline std::span<const char32_t> decomposition(const CharRecord& record) {
    return {unicode_tables::kDecompositions + record.decomposition_begin,
            record.decomposition_size};
}

struct DecodedChar {
    char32_t code = 0;
    std::uint32_t size = 0;  // bytes read, at least 1
};

// The character at the front of `text`, which is not empty. Ill-formed bytes are read as U+FFFD per
// maximal subpart (Unicode 3.9).
DecodedChar decode_char(std::string_view text);
// The character that ends `text`, which is not empty.
DecodedChar decode_char_before(std::string_view text);

// Writes 1 to 4 bytes to `out` and returns how many.
std::size_t encode_char(char32_t c, char* out);

}  // namespace hearth::tokens
