#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "base/error.h"
#include "inference/embed.h"

namespace hearth::remote {

// To length one; a vector of zeros stays. One that has it already keeps its bits.
void normalise(std::span<float> row);

// `total` shared out by the length of the inputs; the sum is exact. Unknown: what the inputs say
// themselves, which of a text is nothing.
std::vector<std::uint32_t> share_tokens(std::optional<std::uint64_t> total,
                                        const std::vector<inference::EmbedInput>& inputs);

// Rows of one dimension, one per input, cut and normalised as the request says, with their tokens.
// Errors: BadUpstream; InvalidArgument where `dimensions` is over what there is, or the tokens are
// over `tokens_max`.
Result<inference::EmbedReply> make_reply(std::vector<std::vector<float>> rows,
                                         const inference::EmbedRequest& request,
                                         std::optional<std::uint64_t> tokens);

}  // namespace hearth::remote
