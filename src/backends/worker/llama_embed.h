#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "inference/embed.h"

// Embeddings of a GGUF model, in the words of llama-server's /tokenize and /v1/embeddings. Texts
// are tokenized first: only so are lengths known, and a cut keeps the tokens that end a text. Pure.
namespace hearth::worker {

// What stands before and after the tokens of every text.
struct SpecialTokens {
    inference::TokenIds before;
    inference::TokenIds after;
    std::size_t count() const { return before.size() + after.size(); }
};

std::string encode_tokenize(std::string_view text, bool with_special);
Result<inference::TokenIds> decode_tokenize(std::string_view body);
// From the tokens of one text with them and without. Error: BadUpstream when the one are not part
// of the other.
Result<SpecialTokens> find_special(const inference::TokenIds& with,
                                   const inference::TokenIds& without);

// Surrounds `ids`, cut to `tokens_max` as the request says. `index` is the input's, for errors:
// InvalidArgument, reason "context_length_exceeded".
Result<inference::TokenIds> fit_tokens(inference::TokenIds ids, const SpecialTokens& special,
                                       std::size_t tokens_max, inference::Overflow overflow,
                                       std::size_t index);

std::string encode_embeddings_call(std::span<const inference::TokenIds> texts, bool normalize);
// Rows in the order of the inputs, cut to `request.dimensions`. Errors: BadUpstream,
// InvalidArgument (more dimensions than there are).
Result<inference::EmbedReply> decode_embeddings(std::string_view body,
                                                std::span<const inference::TokenIds> texts,
                                                const inference::EmbedRequest& request);

}  // namespace hearth::worker
