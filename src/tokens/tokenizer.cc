#include "tokens/tokenizer.h"

#include "tokens/tokenizer_spec.h"
#include "tokens/wordpiece.h"

namespace hearth::tokens {

Result<std::unique_ptr<Tokenizer>> Tokenizer::open(const std::filesystem::path& folder,
                                                   bool lower_case) {
    TRY(TokenizerSpec spec, read_tokenizer_spec(folder));
    if (lower_case) spec.normalizer.lower_case = true;
    auto model = WordPiece::make(std::move(spec));
    if (!model) return fail(std::move(model).error().within(folder.string()));
    return std::move(*model);
}

}  // namespace hearth::tokens
