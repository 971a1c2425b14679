#include "encoder/tokenizer.h"

#include "encoder/tokenizer_spec.h"
#include "encoder/wordpiece.h"

namespace hearth::encoder {

Result<std::unique_ptr<Tokenizer>> Tokenizer::open(const std::filesystem::path& folder) {
    TRY(TokenizerSpec spec, read_tokenizer_spec(folder));
    auto model = WordPiece::make(std::move(spec));
    if (!model) return fail(std::move(model).error().within(folder.string()));
    return std::move(*model);
}

}  // namespace hearth::encoder
