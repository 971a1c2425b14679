#include "tokens/wordpiece_added.h"

#include <algorithm>

#include "base/format.h"
#include "tokens/unicode.h"

namespace hearth::tokens {
namespace {

bool is_space(char32_t c) { return char_record(c).flags & kWhitespace; }
bool is_word(char32_t c) { return char_record(c).flags & kWordChar; }

bool touches_word(std::string_view before, std::string_view after) {
    return (!before.empty() && is_word(decode_char_before(before).code)) ||
           (!after.empty() && is_word(decode_char(after).code));
}

std::size_t spaces_at_end(std::string_view text) {
    const std::size_t size = text.size();
    while (!text.empty()) {
        const DecodedChar c = decode_char_before(text);
        if (!is_space(c.code)) break;
        text.remove_suffix(c.size);
    }
    return size - text.size();
}

std::size_t spaces_at_start(std::string_view text) {
    const std::size_t size = text.size();
    while (!text.empty()) {
        const DecodedChar c = decode_char(text);
        if (!is_space(c.code)) break;
        text.remove_prefix(c.size);
    }
    return size - text.size();
}

}  // namespace

Result<AddedTokens> AddedTokens::build(std::vector<AddedToken> tokens) {
    AddedTokens added;
    std::vector<WordPieceTrie::Entry> entries;
    for (const AddedToken& token : tokens) {
        if (token.content.empty()) {
            return fail(Code::InvalidArgument, format("the added token {} is empty", token.id));
        }
        entries.push_back({token.content, static_cast<std::int32_t>(entries.size())});
        added.first_bytes_[static_cast<unsigned char>(token.content[0])] = true;
    }
    if (std::ranges::count(added.first_bytes_, true) == 1) added.only_first_ = tokens[0].content[0];
    TRY(added.trie_, WordPieceTrie::build(std::move(entries)));
    added.tokens_ = std::move(tokens);
    return added;
}

std::size_t AddedTokens::next_candidate(std::string_view text, std::size_t from) const {
    if (only_first_) return text.find(*only_first_, from);
    while (from < text.size() && !first_bytes_[static_cast<unsigned char>(text[from])]) ++from;
    return from < text.size() ? from : std::string_view::npos;
}

std::optional<AddedTokens::Match> AddedTokens::find(std::string_view text, std::size_t from,
                                                    std::size_t floor) const {
    if (tokens_.empty()) return std::nullopt;
    for (std::size_t at = from; (at = next_candidate(text, at)) != std::string_view::npos;) {
        const WordPieceTrie::Match hit = trie_.longest(text.substr(at));
        if (hit.size == 0) {
            ++at;
            continue;
        }
        const AddedToken& token = tokens_[static_cast<std::size_t>(hit.id)];
        Match match{at, at + hit.size, at + hit.size, token.id};
        at = match.resume;
        const std::string_view before = text.substr(0, match.begin);
        const std::string_view after = text.substr(match.end);
        if (token.single_word && touches_word(before, after)) continue;
        if (token.strip_left) {
            match.begin = std::max(match.begin - spaces_at_end(before), floor);
        }
        if (token.strip_right) match.end += spaces_at_start(after);
        return match;
    }
    return std::nullopt;
}

}  // namespace hearth::tokens
