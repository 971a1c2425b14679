#include "pipeline/kept_texts.h"

#include <boost/unordered/unordered_flat_map.hpp>
#include <cstring>
#include <span>

namespace hearth::pipeline {
namespace {

using cache::Key;
using cache::KeyWriter;
using cache::Space;
using inference::EmbedInput;
using inference::EmbedReply;
using inference::EmbedRequest;
using inference::TokenIds;

// Payload: the text's tokens (u32), and its vector (float32), little-endian.
constexpr std::size_t kTextHead = sizeof(std::uint32_t);

std::string vector_payload(std::span<const float> vector, std::uint32_t tokens) {
    std::string payload(kTextHead + vector.size_bytes(), '\0');
    std::memcpy(payload.data(), &tokens, kTextHead);
    std::memcpy(payload.data() + kTextHead, vector.data(), vector.size_bytes());
    return payload;
}

bool is_vector(std::string_view payload) {
    return payload.size() > kTextHead && (payload.size() - kTextHead) % sizeof(float) == 0;
}

std::uint32_t tokens_of(const cache::Entry& entry) {
    std::uint32_t tokens = 0;
    std::memcpy(&tokens, entry.payload.data(), kTextHead);
    return tokens;
}

std::size_t dimension_of(const cache::Entry& entry) {
    return (entry.payload.size() - kTextHead) / sizeof(float);
}

// Everything but the text.
Key settings_of(std::string_view identity, const EmbedRequest& request, const Caller& caller) {
    return KeyWriter("embedding")
        .text("tenant", caller.tenant)
        .text("identity", identity)
        .number("dimensions", request.dimensions.value_or(0))
        .number("overflow", static_cast<std::uint64_t>(request.overflow))
        .number("normalize", request.normalize ? 1 : 0)
        .text("prompt_name", request.prompt_name)
        .finish();
}

}  // namespace

KeptTexts::KeptTexts(cache::Answers& answers, std::string_view identity, std::string_view model,
                     const EmbedRequest& request, const Caller& caller)
    : answers_(answers),
      model_(model),
      request_(request),
      caller_(caller),
      clears_(answers.clears()) {
    const Key settings = settings_of(identity, request, caller);
    boost::unordered_flat_map<Key, std::size_t, cache::KeyHash> known;
    known.reserve(request.inputs.size());
    for (std::size_t i = 0; i < request.inputs.size(); ++i) {
        const Key key = key_of(settings, request.inputs[i]);
        const auto [at, is_new] = known.try_emplace(key, texts_.size());
        of_input_.push_back(at->second);
        if (!is_new) continue;
        Text text{.key = key, .input = i, .kept = {}};
        if (cache::looks_up(caller.cache.mode)) {
            auto found = answers.find(Space::Embedding, key);
            if (found && is_vector(found->entry->payload)) text.kept = std::move(found->entry);
        }
        if (text.kept == nullptr) {
            missing_.push_back(texts_.size());
        } else {
            kept_tokens_ += tokens_of(*text.kept);
        }
        texts_.push_back(std::move(text));
    }
}

Key KeptTexts::key_of(const Key& settings, const EmbedInput& input) const {
    KeyWriter writer("embedding text");
    writer.key("settings", settings);
    if (const auto* text = std::get_if<std::string>(&input)) {
        writer.text("text", *text);
    } else {
        const auto& ids = std::get<TokenIds>(input);
        writer.text("ids", {reinterpret_cast<const char*>(ids.data()), ids.size() * sizeof ids[0]});
    }
    return writer.finish();
}

EmbedRequest KeptTexts::missing() const {
    EmbedRequest call{.model = request_.model,
                      .inputs = {},
                      .dimensions = request_.dimensions,
                      .overflow = request_.overflow,
                      .normalize = request_.normalize,
                      .prompt_name = request_.prompt_name,
                      .keep_alive = request_.keep_alive,
                      .tokens_max = request_.tokens_max};
    for (const std::size_t text : missing_) {
        call.inputs.push_back(request_.inputs[texts_[text].input]);
    }
    // 0 would mean that there is no cap.
    if (call.tokens_max > 0) {
        call.tokens_max -= std::min(call.tokens_max - 1, kept_tokens_);
    }
    return call;
}

void KeptTexts::keep(const EmbedReply& made, std::chrono::nanoseconds took) const {
    if (!cache::keeps(caller_.cache.mode) || made.stands_in) return;
    const auto each = std::chrono::duration_cast<std::chrono::microseconds>(took / missing_.size());
    const std::span<const float> vectors(made.vectors);
    for (std::size_t i = 0; i < missing_.size(); ++i) {
        answers_.keep(
            {.space = Space::Embedding,
             .key = texts_[missing_[i]].key,
             .model = std::string(model_),
             .tenant = caller_.tenant,
             .life = caller_.cache.life,
             .clears = clears_},
            vector_payload(vectors.subspan(i * made.dimension, made.dimension), made.tokens[i]),
            each);
    }
}

std::optional<EmbedReply> KeptTexts::together(EmbedReply made,
                                              std::chrono::nanoseconds took) const {
    const bool is_whole = made.tokens.size() == missing_.size() &&
                          made.vectors.size() == missing_.size() * made.dimension;
    if (!is_whole) return std::nullopt;
    for (const Text& text : texts_) {
        if (text.kept == nullptr) continue;
        if (made.dimension == 0) made.dimension = dimension_of(*text.kept);
        if (dimension_of(*text.kept) != made.dimension) return std::nullopt;
    }
    if (!missing_.empty()) keep(made, took);
    if (made.model.empty()) made.model = model_;
    if (missing_.size() == of_input_.size()) return made;
    // Where each text's vector and count lie.
    std::vector<std::size_t> made_at(texts_.size());
    for (std::size_t i = 0; i < missing_.size(); ++i) made_at[missing_[i]] = i;
    const std::size_t bytes = made.dimension * sizeof(float);
    std::vector<float> vectors(of_input_.size() * made.dimension);
    std::vector<std::uint32_t> tokens(of_input_.size());
    for (std::size_t i = 0; i < of_input_.size(); ++i) {
        const Text& text = texts_[of_input_[i]];
        const std::size_t at = made_at[of_input_[i]];
        const void* from = text.kept != nullptr
                               ? static_cast<const void*>(text.kept->payload.data() + kTextHead)
                               : made.vectors.data() + at * made.dimension;
        std::memcpy(vectors.data() + i * made.dimension, from, bytes);
        tokens[i] = text.kept != nullptr ? tokens_of(*text.kept) : made.tokens[at];
    }
    made.vectors = std::move(vectors);
    made.tokens = std::move(tokens);
    return made;
}

}  // namespace hearth::pipeline
