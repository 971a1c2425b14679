#include "backends/remote/rerank_call.h"

#include <algorithm>
#include <boost/json.hpp>
#include <cmath>
#include <limits>

#include "backends/remote/remote_error.h"

namespace hearth::remote {
namespace {

namespace json = boost::json;

std::unexpected<Error> no_scores() {
    return fail({.code = Code::BadUpstream,
                 .message = "the answer does not have one score for each document",
                 .reason = "upstream_malformed"});
}

const json::value* member(const json::value& from, std::string_view name) {
    const json::object* object = from.if_object();
    return object != nullptr ? object->if_contains(name) : nullptr;
}

bool take_result(const json::value& result, std::vector<float>& scores) {
    const json::value* index = member(result, "index");
    const json::value* score = member(result, "relevance_score");
    if (index == nullptr || score == nullptr || !index->is_number() || !score->is_number()) {
        return false;
    }
    const auto place = index->to_number<double>();
    if (place < 0 || place >= static_cast<double>(scores.size())) return false;
    const auto value = static_cast<float>(score->to_number<double>());
    scores[static_cast<std::size_t>(place)] = value;
    return std::isfinite(value);
}

std::uint64_t tokens_of(const json::value& answer) {
    const json::value* usage = member(answer, "usage");
    if (usage == nullptr) return 0;
    for (const char* name : {"prompt_tokens", "total_tokens"}) {
        const json::value* count = member(*usage, name);
        if (count == nullptr || !count->is_number()) continue;
        return static_cast<std::uint64_t>(std::clamp(count->to_number<double>(), 0.0, 1e15));
    }
    return 0;
}

}  // namespace

Result<http::Call> encode_rerank(const inference::RerankRequest& request, std::string_view model) {
    if (request.raw_scores) {
        return fail({.code = Code::Unsupported,
                     .message = "a server elsewhere gives scores between 0 and 1 and not the "
                                "model's own; models of this machine do",
                     .param = "raw_scores"});
    }
    http::Call call{.method = http::Method::Post, .target = "/v1/rerank"};
    call.headers.add("content-type", "application/json");
    call.body = json::serialize(json::object{
        {"model", model},
        {"query", request.query},
        {"documents", json::array(request.documents.begin(), request.documents.end())}});
    return call;
}

Result<inference::RerankReply> decode_rerank(std::string_view body, std::size_t documents) {
    TRY(const json::value answer, read_sound_answer(body));
    const json::value* results = member(answer, "results");
    if (results == nullptr || !results->is_array() || results->get_array().size() != documents) {
        return no_scores();
    }
    inference::RerankReply reply;
    reply.scores.assign(documents, std::numeric_limits<float>::quiet_NaN());
    for (const json::value& result : results->get_array()) {
        if (!take_result(result, reply.scores)) return no_scores();
    }
    if (std::ranges::any_of(reply.scores, [](float score) { return std::isnan(score); })) {
        return no_scores();
    }
    reply.tokens = tokens_of(answer);
    return reply;
}

bool are_logits(const std::vector<float>& scores) {
    return std::ranges::any_of(scores, [](float score) { return score < 0 || score > 1; });
}

void put_between_0_and_1(std::vector<float>& logits) {
    for (float& score : logits) score = 1 / (1 + std::exp(-score));
}

}  // namespace hearth::remote
