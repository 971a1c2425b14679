#include "pipeline/kept_scores.h"

#include <cstring>

namespace hearth::pipeline {
namespace {

constexpr std::size_t kScoresHead = sizeof(std::uint64_t);

}  // namespace

cache::Key key_of(const inference::RerankRequest& request, std::string_view identity,
                  const Caller& caller) {
    cache::KeyWriter writer("rerank");
    writer.text("tenant", caller.tenant)
        .text("identity", identity)
        .number("overflow", static_cast<std::uint64_t>(request.overflow))
        .number("document_tokens_max", request.document_tokens_max)
        .number("raw_scores", request.raw_scores ? 1 : 0)
        .text("query", request.query)
        .number("documents", request.documents.size());
    for (const std::string& document : request.documents) writer.text("document", document);
    return writer.finish();
}

std::string payload_of(const inference::RerankReply& reply) {
    const std::size_t bytes = reply.scores.size() * sizeof(float);
    std::string payload(kScoresHead + bytes, '\0');
    std::memcpy(payload.data(), &reply.tokens, kScoresHead);
    std::memcpy(payload.data() + kScoresHead, reply.scores.data(), bytes);
    return payload;
}

std::optional<inference::RerankReply> scores_of(const cache::Entry& entry, std::size_t documents) {
    const std::string& payload = entry.payload;
    if (payload.size() != kScoresHead + documents * sizeof(float)) return std::nullopt;
    inference::RerankReply reply;
    std::memcpy(&reply.tokens, payload.data(), kScoresHead);
    reply.scores.resize(documents);
    std::memcpy(reply.scores.data(), payload.data() + kScoresHead, documents * sizeof(float));
    return reply;
}

}  // namespace hearth::pipeline
