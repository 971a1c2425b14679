#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/error.h"
#include "inference/embed.h"
#include "models/model.h"
#include "tokens/tokenizer.h"

namespace hearth::tokens {

// What a model makes of a caller's options and texts before anything is computed. Immutable,
// thread-safe. Errors: InvalidArgument with `param`; reason "context_length_exceeded" for a text
// over the window that may not be cut.
class TextPrep {
  public:
    TextPrep(const Tokenizer& tokenizer, const models::EncoderConfig& config)
        : tokenizer_(tokenizer), config_(config) {}

    // The options of a call, checked against the model.
    struct Rules {
        std::size_t dimension = 0;             // 0: the model's own, which its config does not tell
        std::string prefix;                    // text before every input
        std::vector<std::int32_t> prefix_ids;  // the same for inputs given as ids
        inference::Overflow overflow = inference::Overflow::Refuse;
    };
    Result<Rules> check(const inference::EmbedRequest& request) const;

    // The ids of input `index` as the model will see it: special tokens added, cut to the window.
    Result<std::vector<std::int32_t>> prepare(const inference::EmbedInput& input, std::size_t index,
                                              const Rules& rules) const;

  private:
    Result<std::vector<std::int32_t>> with_specials(const inference::TokenIds& given,
                                                    std::size_t index, const Rules& rules) const;
    Result<void> fit(std::vector<std::int32_t>& ids, std::size_t index,
                     inference::Overflow overflow) const;

    const Tokenizer& tokenizer_;
    const models::EncoderConfig& config_;
};

}  // namespace hearth::tokens
