#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "cache/answers.h"
#include "inference/embed.h"
#include "pipeline/caller.h"

namespace hearth::pipeline {

// The texts of one embedding call: whose vectors are kept, and which are to be made. Each text is
// looked up and made by itself, and once, however often it stands in the call.
class KeptTexts {
  public:
    // `identity`: inference::Backend::identity, not empty. `model`: its name. Everything must
    // outlive it.
    KeptTexts(cache::Answers& answers, std::string_view identity, std::string_view model,
              const inference::EmbedRequest& request, const Caller& caller);

    // Nothing is to be made.
    bool is_complete() const { return missing_.empty(); }
    // The call for what is not kept. The tokens of what is count towards its tokens_max.
    inference::EmbedRequest missing() const;
    // What was made, kept for others, and what was there before, in the order of the call. Nothing:
    // the two do not fit together, as the model has become another meanwhile.
    std::optional<inference::EmbedReply> together(inference::EmbedReply made,
                                                  std::chrono::nanoseconds took) const;

  private:
    struct Text {
        cache::Key key;
        std::size_t input = 0;  // the first that is this text
        cache::EntryPtr kept;   // null: to be made
    };

    cache::Key key_of(const cache::Key& settings, const inference::EmbedInput& input) const;
    void keep(const inference::EmbedReply& made, std::chrono::nanoseconds took) const;

    cache::Answers& answers_;
    const std::string_view model_;
    const inference::EmbedRequest& request_;
    const Caller& caller_;
    const std::uint64_t clears_;
    std::vector<Text> texts_;            // each once
    std::vector<std::size_t> of_input_;  // input to its text
    std::vector<std::size_t> missing_;   // texts
    std::size_t kept_tokens_ = 0;
};

}  // namespace hearth::pipeline
