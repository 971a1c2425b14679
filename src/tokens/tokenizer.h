#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace hearth::tokens {

// Tokens of one text. ids and offsets have the same length; offsets are [begin, end) in BYTES of
// the text given, {0, 0} for special tokens.
struct Encoding {
    std::vector<std::int32_t> ids;
    struct Offset {
        std::uint32_t begin = 0;
        std::uint32_t end = 0;
        bool operator==(const Offset&) const = default;
    };
    std::vector<Offset> offsets;
};

// WordPiece as Hugging Face tokenizers does it for BERT: clean text, CJK spacing, NFD accent
// stripping, lower case, punctuation split, greedy longest match, [CLS] ... [SEP]. Immutable,
// thread-safe. Ill-formed UTF-8 is read as U+FFFD per maximal subpart, never refused. Source:
// tokenizer.json (normalizer, pre_tokenizer, model, post_processor) or vocab.txt +
// tokenizer_config.json. Errors of open: NotFound, InvalidArgument with one sentence.
class Tokenizer {
  public:
    // `lower_case`: whatever the folder's normalizer says (EncoderConfig::lower_case).
    static Result<std::unique_ptr<Tokenizer>> open(const std::filesystem::path& folder,
                                                   bool lower_case = false);
    virtual ~Tokenizer() = default;

    // Ids with special tokens added, of the whole text (never cut). `ids` is replaced.
    virtual void encode(std::string_view text, std::vector<std::int32_t>& ids) const = 0;
    // The same with offsets; slower.
    virtual Encoding encode_with_offsets(std::string_view text) const = 0;
    virtual std::size_t vocabulary() const = 0;
    virtual std::int32_t cls_id() const = 0;
    virtual std::int32_t sep_id() const = 0;
};

}  // namespace hearth::tokens
