#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "tokens/tokenizer_spec.h"
#include "tokens/wordpiece_trie.h"

namespace hearth::tokens {

// Finds added tokens in a text: leftmost, then longest. Immutable.
class AddedTokens {
  public:
    // Errors: InvalidArgument when two tokens look the same or one is empty.
    static Result<AddedTokens> build(std::vector<AddedToken> tokens);

    bool empty() const { return tokens_.empty(); }

    struct Match {
        std::size_t begin = 0;  // with the white space the token takes
        std::size_t end = 0;
        std::size_t resume = 0;  // where the search goes on
        std::int32_t id = 0;
    };
    // The first match at `from` or later; white space before `floor` belongs to an earlier match.
    std::optional<Match> find(std::string_view text, std::size_t from, std::size_t floor) const;

  private:
    std::size_t next_candidate(std::string_view text, std::size_t from) const;

    std::vector<AddedToken> tokens_;
    WordPieceTrie trie_;  // content to index in tokens_
    std::array<bool, 256> first_bytes_{};
    std::optional<char> only_first_;  // set when all begin alike
};

}  // namespace hearth::tokens
