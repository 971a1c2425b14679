#include "tokens/text_prep.h"

#include <algorithm>
#include <map>
#include <utility>

#include "base/format.h"

namespace hearth::tokens {
namespace {

using inference::Overflow;
using Ids = std::vector<std::int32_t>;

std::unexpected<Error> wrong(std::string message, std::string param) {
    return fail(
        {.code = Code::InvalidArgument, .message = std::move(message), .param = std::move(param)});
}

std::string input_name(std::size_t index) { return format("input[{}]", index); }

std::string joined_names(const std::map<std::string, std::string>& prompts) {
    std::string names;
    for (const auto& [name, text] : prompts) names += (names.empty() ? "" : ", ") + name;
    return names.empty() ? "none" : names;
}

}  // namespace

Result<TextPrep::Rules> TextPrep::check(const inference::EmbedRequest& request) const {
    Rules rules{.dimension = request.dimensions.value_or(config_.hidden),
                .overflow = request.overflow};
    // Where nobody has told the model's own, whoever has its vectors checks the rest.
    if (config_.hidden != 0 && (rules.dimension == 0 || rules.dimension > config_.hidden)) {
        return wrong(
            format("dimensions is {}; this model has 1 to {}", rules.dimension, config_.hidden),
            "dimensions");
    }
    const auto& allowed = config_.matryoshka;
    if (!allowed.empty() && rules.dimension != config_.hidden &&
        std::ranges::find(allowed, rules.dimension) == allowed.end()) {
        std::string sizes;
        for (const std::size_t size : allowed) sizes += format("{}, ", size);
        return wrong(format("dimensions is {}; this model allows {}{}", rules.dimension, sizes,
                            config_.hidden),
                     "dimensions");
    }
    const std::string& name =
        request.prompt_name.empty() ? config_.default_prompt : request.prompt_name;
    if (name.empty()) return rules;
    const auto prompt = config_.prompts.find(name);
    if (prompt == config_.prompts.end()) {
        return wrong(format("this model has no prompt \"{}\"; it has: {}", name,
                            joined_names(config_.prompts)),
                     "prompt_name");
    }
    rules.prefix = prompt->second;
    tokenizer_.encode(rules.prefix, rules.prefix_ids);
    CHECK(rules.prefix_ids.size() >= 2);
    rules.prefix_ids.erase(rules.prefix_ids.begin());
    rules.prefix_ids.pop_back();
    return rules;
}

Result<Ids> TextPrep::prepare(const inference::EmbedInput& input, std::size_t index,
                              const Rules& rules) const {
    Ids ids;
    if (const auto* text = std::get_if<std::string>(&input)) {
        if (rules.prefix.empty()) {
            tokenizer_.encode(*text, ids);
        } else {
            tokenizer_.encode(rules.prefix + *text, ids);
        }
    } else {
        TRY(ids, with_specials(std::get<inference::TokenIds>(input), index, rules));
    }
    TRY_VOID(fit(ids, index, rules.overflow));
    return ids;
}

Result<Ids> TextPrep::with_specials(const inference::TokenIds& given, std::size_t index,
                                    const Rules& rules) const {
    const auto vocabulary = static_cast<std::int64_t>(
        std::min(tokenizer_.vocabulary(),
                 config_.vocabulary == 0 ? tokenizer_.vocabulary() : config_.vocabulary));
    for (const std::int32_t id : given) {
        if (id < 0 || id >= vocabulary) {
            return wrong(
                format("token id {} is not in the vocabulary of 0 to {}", id, vocabulary - 1),
                input_name(index));
        }
    }
    Ids ids;
    ids.reserve(given.size() + rules.prefix_ids.size() + 2);
    ids.push_back(tokenizer_.cls_id());
    ids.insert(ids.end(), rules.prefix_ids.begin(), rules.prefix_ids.end());
    ids.insert(ids.end(), given.begin(), given.end());
    ids.push_back(tokenizer_.sep_id());
    return ids;
}

// The first and the last id are special and stay, whichever side is cut.
Result<void> TextPrep::fit(Ids& ids, std::size_t index, Overflow overflow) const {
    const std::size_t window = config_.tokens_max;
    if (ids.size() <= window) return {};
    const auto over = static_cast<std::ptrdiff_t>(ids.size() - window);
    switch (overflow) {
        case Overflow::Refuse:
            return fail({.code = Code::InvalidArgument,
                         .message = format("{} has {} tokens; this model takes at most {}",
                                           input_name(index), ids.size(), window),
                         .reason = "context_length_exceeded",
                         .param = input_name(index)});
        case Overflow::CutRight: ids.erase(ids.end() - 1 - over, ids.end() - 1); break;
        case Overflow::CutLeft: ids.erase(ids.begin() + 1, ids.begin() + 1 + over); break;
    }
    return {};
}

}  // namespace hearth::tokens
