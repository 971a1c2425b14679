#include "tokens/wordpiece_normalizer.h"

#include <algorithm>
#include <utility>

#include "tokens/unicode.h"

namespace hearth::tokens {

const std::vector<NormalizedChar>& Normalizer::normalize(std::string_view text,
                                                         std::uint32_t origin) {
    source_.clear();
    clean(text, origin);
    if (options_.strip_accents) {
        strip_accents();
        source_.swap(result_);
    }
    if (options_.lower_case) lower_case();
    return source_;
}

void Normalizer::clean(std::string_view text, std::uint32_t origin) {
    for (std::size_t at = 0; at < text.size();) {
        const DecodedChar decoded = decode_char(text.substr(at));
        NormalizedChar c{decoded.code, origin + static_cast<std::uint32_t>(at), 0};
        at += decoded.size;
        c.end = origin + static_cast<std::uint32_t>(at);
        const unsigned flags = char_record(c.code).flags;
        if (options_.clean_text) {
            if (flags & kControl) continue;
            if (flags & kWhitespace) c.code = ' ';
        }
        if (options_.space_ideographs && (flags & kIdeograph)) {
            source_.push_back({' ', c.begin, c.end});
            source_.push_back(c);
            source_.push_back({' ', c.begin, c.end});
        } else {
            source_.push_back(c);
        }
    }
}

// Canonical decomposition without the nonspacing marks. The reference aligns by position: a
// character that replaced one of the source takes the next source character's place, an added one
// the place before; after marks were reordered that need not be the character it came from.
void Normalizer::strip_accents() {
    result_.clear();
    marks_.clear();
    consumed_ = 0;
    for (const NormalizedChar& c : source_) {
        if (c.code < 0x80 && marks_.empty()) {
            keep({c.code, 0, 0, false});
        } else {
            decompose(c.code);
        }
    }
    flush_marks();
}

void Normalizer::decompose(char32_t code) {
    constexpr char32_t kHangul = 0xAC00, kLead = 0x1100, kVowel = 0x1161, kTrail = 0x11A7;
    constexpr char32_t kTrails = 28, kVowels = 21, kSyllables = 11172;
    if (code >= kHangul && code < kHangul + kSyllables) {
        const char32_t syllable = code - kHangul;
        take(kLead + syllable / (kVowels * kTrails), false);
        take(kVowel + syllable / kTrails % kVowels, true);
        if (syllable % kTrails != 0) take(kTrail + syllable % kTrails, true);
        return;
    }
    const CharRecord& record = char_record(code);
    if (record.decomposition_size == 0) {
        take(code, false);
        return;
    }
    bool added = false;
    for (const char32_t part : decomposition(record)) {
        take(part, added);
        added = true;
    }
}

void Normalizer::take(char32_t code, bool added) {
    const Decomposed c{code, marks_.size(), char_record(code).combining_class, added};
    if (c.combining_class != 0) {
        marks_.push_back(c);
        return;
    }
    flush_marks();
    keep(c);
}

void Normalizer::flush_marks() {
    if (marks_.size() > 1) {
        std::ranges::sort(marks_, {}, [](const Decomposed& mark) {
            return std::pair(mark.combining_class, mark.order);
        });
    }
    for (const Decomposed& mark : marks_) keep(mark);
    marks_.clear();
}

void Normalizer::keep(const Decomposed& c) {
    const NormalizedChar& place = source_[c.added ? consumed_ - 1 : consumed_];
    if (!c.added) ++consumed_;
    if (char_record(c.code).flags & kNonspacing) return;
    result_.push_back({c.code, place.begin, place.end});
}

void Normalizer::lower_case() {
    constexpr char32_t kDottedCapitalI = 0x130, kDotAbove = 0x307;
    bool grows = false;
    for (NormalizedChar& c : source_) {
        grows |= c.code == kDottedCapitalI;
        c.code = static_cast<char32_t>(static_cast<std::int32_t>(c.code) +
                                       char_record(c.code).lower_delta);
    }
    if (!grows) return;
    result_.clear();
    for (const NormalizedChar& c : source_) {
        const bool dotted = c.code == kDottedCapitalI;
        result_.push_back({dotted ? U'i' : c.code, c.begin, c.end});
        if (dotted) result_.push_back({kDotAbove, c.begin, c.end});
    }
    source_.swap(result_);
}

}  // namespace hearth::tokens
