#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace hearth::tokens {

// The fields of a tokenizer.json "BertNormalizer".
struct NormalizerOptions {
    bool clean_text = true;
    bool space_ideographs = true;
    bool strip_accents = true;
    bool lower_case = true;
};

// One character of normalised text and the bytes of the original it stands for.
struct NormalizedChar {
    char32_t code = 0;
    std::uint32_t begin = 0;
    std::uint32_t end = 0;
};

// BertNormalizer over any bytes, for what the ASCII path of WordPiece does not take. Not
// thread-safe: it keeps its buffers from call to call.
class Normalizer {
  public:
    explicit Normalizer(const NormalizerOptions& options) : options_(options) {}

    // Valid until the next call. Offsets count from `origin`, which is where `text` begins in the
    // original.
    const std::vector<NormalizedChar>& normalize(std::string_view text, std::uint32_t origin);

  private:
    // A character of the decomposed text: `added` when it did not replace one of the source.
    struct Decomposed {
        char32_t code;
        std::size_t order;  // among the marks that are sorted together
        std::uint8_t combining_class;
        bool added;
    };

    void clean(std::string_view text, std::uint32_t origin);
    void strip_accents();
    void decompose(char32_t code);
    void take(char32_t code, bool added);
    void flush_marks();
    void keep(const Decomposed& c);
    void lower_case();

    NormalizerOptions options_;
    std::vector<NormalizedChar> source_;
    std::vector<NormalizedChar> result_;
    std::vector<Decomposed> marks_;
    std::size_t consumed_ = 0;  // characters of source_ already replaced
};

}  // namespace hearth::tokens
