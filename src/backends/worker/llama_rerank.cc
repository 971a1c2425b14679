#include "backends/worker/llama_rerank.h"

#include <algorithm>
#include <boost/json.hpp>
#include <cmath>
#include <limits>
#include <utility>

#include "base/format.h"

namespace hearth::worker {
namespace {

namespace json = boost::json;
using inference::Overflow;
using inference::RerankRequest;

// After so many counts the best piece so far is taken: it lacks a few tokens at most.
constexpr int kCountsMax = 24;
// More around a pair than special tokens: a prompt of the model's own, with the texts inside it.
constexpr std::size_t kSpecialTokensMax = 8;
// There the ends of a text may become other tokens than they were by themselves.
constexpr std::size_t kSeamTokens = 4;

std::unexpected<Error> no_ranking() {
    return fail(Code::BadUpstream, "the engine's answer is no ranking of the documents");
}

Result<std::uint64_t> read_prompt_tokens(const json::object& answer) {
    const json::value* usage = answer.if_contains("usage");
    const json::object* counts = usage != nullptr ? usage->if_object() : nullptr;
    const json::value* tokens = counts != nullptr ? counts->if_contains("prompt_tokens") : nullptr;
    if (tokens == nullptr || !tokens->is_int64() || tokens->get_int64() < 0) return no_ranking();
    return static_cast<std::uint64_t>(tokens->get_int64());
}

// Puts one result in its place.
bool take_score(const json::value& item, std::span<float> scores) {
    const json::object* result = item.if_object();
    if (result == nullptr) return false;
    const json::value* index = result->if_contains("index");
    const json::value* score = result->if_contains("relevance_score");
    if (index == nullptr || score == nullptr || !index->is_int64() || !score->is_number()) {
        return false;
    }
    const std::int64_t at = index->get_int64();
    if (at < 0 || std::cmp_greater_equal(at, scores.size())) return false;
    float& place = scores[static_cast<std::size_t>(at)];
    if (!std::isnan(place)) return false;
    place = static_cast<float>(score->to_number<double>());
    return std::isfinite(place);
}

Error too_long(std::string name, std::string_view what, std::size_t tokens,
               std::size_t tokens_max) {
    return {.code = Code::InvalidArgument,
            .message =
                format("{} {} {} tokens; the model's window is {}", name, what, tokens, tokens_max),
            .reason = "context_length_exceeded",
            .param = std::move(name)};
}

}  // namespace

std::string encode_rerank_call(std::string_view query, std::span<const std::string> documents) {
    return json::serialize(json::object{
        {"query", query}, {"documents", json::array(documents.begin(), documents.end())}});
}

Result<RankedDocuments> decode_rerank(std::string_view body, std::size_t count) {
    boost::system::error_code failed;
    const json::value parsed = json::parse(body, failed);
    const json::object* answer = failed ? nullptr : parsed.if_object();
    const json::value* results = answer != nullptr ? answer->if_contains("results") : nullptr;
    if (results == nullptr || !results->is_array() || results->get_array().size() != count) {
        return no_ranking();
    }
    RankedDocuments ranked;
    TRY(ranked.tokens, read_prompt_tokens(*answer));
    ranked.scores.assign(count, std::numeric_limits<float>::quiet_NaN());
    for (const json::value& item : results->get_array()) {
        if (!take_score(item, ranked.scores)) return no_ranking();
    }
    return ranked;
}

void squash_scores(std::span<float> scores) {
    for (float& score : scores) {
        score = static_cast<float>(1 / (1 + std::exp(-static_cast<double>(score))));
    }
}

// Source: llama.cpp tools/server/server-context.cpp, which calls it a fault of the server.
Error explain_rerank_error(Error error) {
    if (error.code != Code::BadUpstream || !error.message.contains("is too large to process")) {
        return error;
    }
    return {.code = Code::InvalidArgument,
            .message = format("the query and a document do not fit into the model's window: {}",
                              error.message),
            .reason = "context_length_exceeded",
            .param = "documents"};
}

Result<RerankRoom> share_room(const RerankRequest& request, const RerankLengths& lengths,
                              std::size_t added, std::size_t tokens_max) {
    const bool cuts = request.overflow != Overflow::Refuse;
    const std::size_t taken = added + (cuts && added > kSpecialTokensMax ? kSeamTokens : 0);
    const std::size_t room = tokens_max - std::min(tokens_max, taken);
    const std::size_t document_max = request.document_tokens_max > 0
                                         ? request.document_tokens_max
                                         : std::numeric_limits<std::size_t>::max();
    std::size_t longest = 0;
    for (const std::size_t tokens : lengths.documents) {
        longest = std::max(longest, std::min(tokens, document_max));
    }
    RerankRoom share{.query = lengths.query, .document = document_max};
    if (lengths.query + longest <= room) return share;
    if (!cuts) {
        if (lengths.query >= room) {
            return fail(too_long("query", "has", lengths.query + added, tokens_max));
        }
        const auto place = std::ranges::find_if(lengths.documents, [&](std::size_t tokens) {
            return lengths.query + std::min(tokens, document_max) > room;
        });
        return fail(too_long(format("documents[{}]", place - lengths.documents.begin()),
                             "and the query have", lengths.query + *place + added, tokens_max));
    }
    // To equal parts at least; a query that is shorter leaves its rest to the document.
    share.query = std::min(lengths.query, std::max(room - std::min(room, longest), room / 2));
    share.document = std::min(document_max, room - share.query);
    return share;
}

TextCut::TextCut(std::string_view text, std::size_t tokens, std::size_t tokens_max,
                 Overflow overflow)
    : text_(text),
      tokens_max_(tokens_max),
      from_end_(overflow == Overflow::CutLeft),
      high_(text.size()),
      high_tokens_(tokens) {}

std::string_view TextCut::piece(std::size_t bytes) const {
    return from_end_ ? text_.substr(text_.size() - bytes) : text_.substr(0, bytes);
}

std::size_t TextCut::whole_characters(std::size_t bytes) const {
    // A piece may not begin, nor what is left of the text, with a byte that goes on a character.
    const auto splits = [&](std::size_t length) {
        const std::size_t at = from_end_ ? text_.size() - length : length;
        return at < text_.size() && (static_cast<unsigned char>(text_[at]) & 0xC0) == 0x80;
    };
    while (bytes > low_ && splits(bytes)) --bytes;
    return bytes > low_ ? bytes : 0;
}

// By proportion; every other time the middle, for a text whose tokens are spread unevenly.
std::size_t TextCut::guess() const {
    const std::size_t width = high_ - low_;
    if (counts_ % 2 == 1) return low_ + width / 2;
    const auto part = static_cast<double>(tokens_max_ - low_tokens_) /
                      static_cast<double>(std::max(high_tokens_ - low_tokens_, std::size_t{1}));
    return low_ + static_cast<std::size_t>(part * static_cast<double>(width));
}

std::optional<std::string_view> TextCut::next() {
    if (counts_ == kCountsMax || low_tokens_ >= tokens_max_ || high_ - low_ < 2) {
        return std::nullopt;
    }
    asked_ = whole_characters(std::clamp(guess(), low_ + 1, high_ - 1));
    // The next character, where the guess lies inside it.
    for (std::size_t more = low_ + 1; asked_ == 0 && more < high_; ++more) {
        asked_ = whole_characters(more);
    }
    if (asked_ == 0) return std::nullopt;
    ++counts_;
    return piece(asked_);
}

void TextCut::counted(std::size_t tokens) {
    if (tokens <= tokens_max_) {
        low_ = asked_;
        low_tokens_ = tokens;
    } else {
        high_ = asked_;
        high_tokens_ = tokens;
    }
}

}  // namespace hearth::worker
