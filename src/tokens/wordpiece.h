#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "tokens/tokenizer.h"
#include "tokens/tokenizer_spec.h"
#include "tokens/wordpiece_added.h"
#include "tokens/wordpiece_trie.h"

namespace hearth::tokens {

// BertNormalizer, BertPreTokenizer and WordPiece in one pass. Words of plain ASCII are matched
// where they stand, without a copy; anything else goes through Normalizer, from one ASCII space or
// punctuation mark to the next. Immutable, thread-safe. Cost: ASCII about one dependent load per
// byte; no allocation but the result's.
class WordPiece : public Tokenizer {
  public:
    // Errors: InvalidArgument.
    static Result<std::unique_ptr<WordPiece>> make(TokenizerSpec spec);

    void encode(std::string_view text, std::vector<std::int32_t>& ids) const override;
    Encoding encode_with_offsets(std::string_view text) const override;
    std::size_t vocabulary() const override { return vocabulary_; }
    std::int32_t cls_id() const override { return before_.front(); }
    std::int32_t sep_id() const override { return after_.back(); }

  private:
    enum class Kind : std::uint8_t { Word, Space, Punctuation, Slow };

    WordPiece() = default;
    void fill_byte_tables(const NormalizerOptions& options);
    Result<void> set_added(std::vector<AddedToken> added);

    template <class Sink>
    void encode_text(std::string_view text, Sink& sink) const;
    template <class Sink>
    void encode_piece(std::string_view text, std::size_t begin, std::size_t end, Sink& sink) const;
    template <class Sink>
    void encode_plain(std::string_view text, std::size_t begin, std::size_t end, Sink& sink) const;
    template <class Sink>
    std::size_t encode_ascii_word(std::string_view text, std::size_t begin, Sink& sink) const;
    template <class Sink>
    std::size_t unknown_ascii_word(std::string_view text, std::size_t begin, std::size_t at,
                                   Sink& sink) const;
    template <class Sink>
    void encode_normalized_piece(std::string_view text, std::size_t begin, std::size_t end,
                                 Sink& sink) const;

    std::size_t slow_end(std::string_view text, std::size_t at) const;
    Kind kind(char c) const { return kinds_[static_cast<unsigned char>(c)]; }

    NormalizerOptions normalizer_;
    WordPieceTrie trie_;
    std::uint32_t continuation_ = WordPieceTrie::kDead;  // where words go on: the node of "##"
    std::int32_t unknown_ = 0;
    std::size_t word_chars_max_ = 100;
    std::size_t vocabulary_ = 0;
    std::vector<std::int32_t> before_;
    std::vector<std::int32_t> after_;
    AddedTokens raw_added_;         // looked for in the text as given
    AddedTokens normalized_added_;  // looked for in the normalised text; mostly empty
    std::array<Kind, 256> kinds_{};
    std::array<unsigned char, 256> fold_{};  // the byte to walk with; kNoByte ends a word
    std::array<std::int32_t, 128> punctuation_ids_{};

    template <class Sink>
    friend class NormalizedWords;
};

}  // namespace hearth::tokens
