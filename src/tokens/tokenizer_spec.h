#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "tokens/wordpiece_normalizer.h"
#include "tokens/wordpiece_trie.h"

namespace hearth::tokens {

// A token that is looked for in the text itself, before words are split.
struct AddedToken {
    std::string content;
    std::int32_t id = 0;
    bool single_word = false;  // only where no word character touches it
    bool strip_left = false;   // takes the white space before it
    bool strip_right = false;
    bool normalized = false;  // looked for in the normalised text
};

// What a tokenizer is made of, checked: ids are in [0, ids_max], the unknown token and the special
// tokens around a text exist, no token comes twice.
struct TokenizerSpec {
    NormalizerOptions normalizer;
    std::vector<WordPieceTrie::Entry> vocabulary;
    std::vector<AddedToken> added;
    std::string unknown = "[UNK]";
    std::string continuation = "##";
    std::size_t word_chars_max = 100;
    std::vector<std::int32_t> before;  // special ids before a text, [CLS]
    std::vector<std::int32_t> after;   // and after it, [SEP]

    static constexpr std::size_t kFileBytesMax = std::size_t{64} << 20;
    static constexpr std::int32_t kIdMax = (1 << 22) - 1;
    static constexpr std::size_t kTokenBytesMax = 1024;
    static constexpr std::size_t kAddedMax = 65'536;
    static constexpr std::size_t kSpecialMax = 16;  // before and after
    static constexpr std::size_t kWordCharsMax = 65'536;
};

// tokenizer.json of the Hugging Face tokenizers. Errors: InvalidArgument, one sentence.
Result<TokenizerSpec> parse_tokenizer_json(std::string_view json);

// vocab.txt and, when not empty, tokenizer_config.json. Errors: InvalidArgument, one sentence.
Result<TokenizerSpec> parse_vocabulary(std::string_view vocab, std::string_view config_json);

// Whichever of the two the folder has; tokenizer.json first.
// Errors: NotFound, InvalidArgument; the message names the file.
Result<TokenizerSpec> read_tokenizer_spec(const std::filesystem::path& folder);

}  // namespace hearth::tokens
