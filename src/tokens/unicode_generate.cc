// Build tool: writes the tables behind unicode.h from the ICU of the build machine. Every property
// is taken only for code points that existed in the Unicode version the Hugging Face tokenizers use
// for it, so that any ICU gives the same tables; the digest at the end proves it.
#include <unicode/normalizer2.h>
#include <unicode/uchar.h>
#include <unicode/unistr.h>

#include <array>
#include <cstdint>
#include <cstdio>
#include <map>
#include <string>
#include <tuple>
#include <vector>

#include "tokens/unicode.h"

namespace {

using hearth::tokens::CharRecord;
namespace tokens = hearth::tokens;

constexpr std::size_t kCodePoints = 0x110000;
constexpr std::uint64_t kDigest = 0x446BEB660090C25B;

struct Range {
    char32_t first, last;
};
// The blocks BERT calls Chinese; U+2B820..U+2B91F is missing there too.
constexpr std::array<Range, 8> kIdeographs{{{0x4E00, 0x9FFF},
                                            {0x3400, 0x4DBF},
                                            {0x20000, 0x2A6DF},
                                            {0x2A700, 0x2B73F},
                                            {0x2B740, 0x2B81F},
                                            {0x2B920, 0x2CEAF},
                                            {0xF900, 0xFAFF},
                                            {0x2F800, 0x2FA1F}}};

// Lower case added after Unicode 15: `count` letters from `first`, `delta` to their lower case.
struct LowerRange {
    char32_t first;
    std::uint32_t count;
    std::int32_t delta;
};
constexpr std::array<LowerRange, 10> kLowerLate{{{0x1C89, 1, 1},
                                                 {0xA7CB, 1, 0x264 - 0xA7CB},
                                                 {0xA7CC, 1, 1},
                                                 {0xA7CE, 1, 1},
                                                 {0xA7D2, 1, 1},
                                                 {0xA7D4, 1, 1},
                                                 {0xA7DA, 1, 1},
                                                 {0xA7DC, 1, 0x19B - 0xA7DC},
                                                 {0x10D50, 22, 0x20},
                                                 {0x16EA0, 25, 0x1B}}};

bool present_in(char32_t c, int major) {
    UVersionInfo age;
    u_charAge(static_cast<UChar32>(c), age);
    return age[0] > 0 && (age[0] < major || (age[0] == major && age[1] == 0));
}

// Categories that have changed since Unicode 8.
std::uint32_t category_mask(char32_t c) {
    if (!present_in(c, 8)) return 0;
    if (c == 0x1734 || c == 0x1171E) return U_GC_MN_MASK;
    if (c == 0x1885 || c == 0x1886) return U_GC_LO_MASK;
    if (c == 0xA9BD) return U_GC_MC_MASK;
    if (c == 0x166D || c == 0x111C9) return U_GC_PO_MASK;
    return U_MASK(u_charType(static_cast<UChar32>(c)));
}

// \w of a regular expression (Unicode TS 18), as of Unicode 15.
bool is_word(char32_t c) {
    const auto icu = static_cast<UChar32>(c);
    constexpr std::uint32_t kMask = U_GC_M_MASK | U_GC_ND_MASK | U_GC_PC_MASK;
    return present_in(c, 15) &&
           ((U_MASK(u_charType(icu)) & kMask) || u_hasBinaryProperty(icu, UCHAR_ALPHABETIC) ||
            u_hasBinaryProperty(icu, UCHAR_JOIN_CONTROL));
}

std::uint8_t flags_of(char32_t c) {
    const std::uint32_t category = category_mask(c);
    const auto icu = static_cast<UChar32>(c);
    unsigned flags = 0;
    const bool line = c == '\t' || c == '\n' || c == '\r';
    const bool other = category & (U_GC_CC_MASK | U_GC_CF_MASK | U_GC_CO_MASK);
    if ((other && !line) || c == 0xFFFD) flags |= tokens::kControl;
    if (u_isUWhiteSpace(icu)) flags |= tokens::kWhitespace;
    const bool ascii = c < 0x80 && u_isgraph(icu) && !u_isalnum(icu);
    if (ascii || (category & U_GC_P_MASK)) flags |= tokens::kPunctuation;
    if (category & U_GC_MN_MASK) flags |= tokens::kNonspacing;
    for (const Range& range : kIdeographs) {
        if (c >= range.first && c <= range.last) flags |= tokens::kIdeograph;
    }
    if (is_word(c)) flags |= tokens::kWordChar;
    return static_cast<std::uint8_t>(flags);
}

std::int32_t lower_delta(char32_t c) {
    for (const LowerRange& range : kLowerLate) {
        if (c >= range.first && c < range.first + range.count) return range.delta;
    }
    if (c == 0x130 || !present_in(c, 15)) return 0;
    return u_tolower(static_cast<UChar32>(c)) - static_cast<std::int32_t>(c);
}

struct Tables {
    std::vector<std::uint16_t> blocks, index;
    std::vector<CharRecord> records;
    std::vector<char32_t> decompositions;
};

CharRecord make_record(char32_t c, const icu::Normalizer2& nfd, Tables& tables) {
    CharRecord record{flags_of(c), 0, 0, 0, lower_delta(c)};
    if (!present_in(c, 9)) return record;
    record.combining_class = u_getCombiningClass(static_cast<UChar32>(c));
    const bool hangul = c >= 0xAC00 && c <= 0xD7A3;
    icu::UnicodeString text;
    if (hangul || !nfd.getDecomposition(static_cast<UChar32>(c), text)) return record;
    record.decomposition_begin = static_cast<std::uint16_t>(tables.decompositions.size());
    for (std::int32_t i = 0; i < text.length(); i = text.moveIndex32(i, 1)) {
        tables.decompositions.push_back(static_cast<char32_t>(text.char32At(i)));
        ++record.decomposition_size;
    }
    return record;
}

Tables make_tables(const icu::Normalizer2& nfd) {
    Tables tables;
    std::map<std::tuple<int, int, int, int, int>, std::uint16_t> seen;
    std::map<std::vector<std::uint16_t>, std::uint16_t> blocks;
    std::vector<std::uint16_t> block;
    for (char32_t c = 0; c < kCodePoints; ++c) {
        const CharRecord r = make_record(c, nfd, tables);
        const auto key = std::tuple<int, int, int, int, int>(
            r.flags, r.combining_class, r.decomposition_size, r.decomposition_begin, r.lower_delta);
        const auto [at, fresh] = seen.try_emplace(key, tables.records.size());
        if (fresh) tables.records.push_back(r);
        block.push_back(at->second);
        if (block.size() < tokens::unicode_tables::kBlock) continue;
        const auto [place, new_block] = blocks.try_emplace(block, blocks.size());
        if (new_block) tables.index.insert(tables.index.end(), block.begin(), block.end());
        tables.blocks.push_back(place->second);
        block.clear();
    }
    return tables;
}

std::uint64_t digest(const Tables& tables) {
    std::uint64_t hash = 0xCBF29CE484222325;
    const auto add = [&hash](std::uint64_t value) { hash = (hash ^ value) * 0x100000001B3; };
    for (const auto v : tables.blocks) add(v);
    for (const auto v : tables.index) add(v);
    for (const auto v : tables.decompositions) add(v);
    for (const CharRecord& r : tables.records) {
        add(r.flags);
        add(r.combining_class);
        add(r.decomposition_size);
        add(r.decomposition_begin);
        add(static_cast<std::uint32_t>(r.lower_delta));
    }
    return hash;
}

template <class T>
void write_array(std::FILE* out, const char* type, const char* name, const std::vector<T>& values) {
    std::fprintf(out, "const %s %s[] = {", type, name);
    for (std::size_t i = 0; i < values.size(); ++i) {
        std::fprintf(out, "%s%u,", i % 24 == 0 ? "\n" : "", static_cast<unsigned>(values[i]));
    }
    std::fputs("};\n", out);
}

bool write_tables(const Tables& tables, const char* path) {
    std::FILE* out = std::fopen(path, "w");
    if (out == nullptr) return false;
    std::fputs("namespace hearth::tokens::unicode_tables {\n", out);
    write_array(out, "std::uint16_t", "kBlocks", tables.blocks);
    write_array(out, "std::uint16_t", "kIndex", tables.index);
    write_array(out, "char32_t", "kDecompositions", tables.decompositions);
    std::fputs("const CharRecord kRecords[] = {\n", out);
    for (const CharRecord& r : tables.records) {
        std::fprintf(out, "{%d,%d,%d,%d,%d},\n", r.flags, r.combining_class, r.decomposition_size,
                     r.decomposition_begin, r.lower_delta);
    }
    std::fputs("};\n}\n", out);
    return std::fclose(out) == 0;
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 2) {
        std::fputs("usage: unicode_generate OUTPUT\n", stderr);
        return 2;
    }
    UErrorCode error = U_ZERO_ERROR;
    const icu::Normalizer2* nfd = icu::Normalizer2::getNFDInstance(error);
    if (U_FAILURE(error)) {
        std::fprintf(stderr, "unicode_generate: ICU has no NFD data: %s\n", u_errorName(error));
        return 1;
    }
    const Tables tables = make_tables(*nfd);
    if (digest(tables) != kDigest) {
        std::fprintf(stderr, "unicode_generate: ICU %s gives other tables (digest 0x%016llX)\n",
                     U_ICU_VERSION, static_cast<unsigned long long>(digest(tables)));
        return 1;
    }
    if (write_tables(tables, argv[1])) return 0;
    std::fprintf(stderr, "unicode_generate: cannot write %s\n", argv[1]);
    return 1;
}
