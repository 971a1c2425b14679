#include "api/rerank.h"

#include <algorithm>
#include <array>
#include <numeric>
#include <utility>
#include <vector>

#include "api/embed_body.h"
#include "api/json_text.h"
#include "api/openai.h"
#include "api/status.h"
#include "api/tei.h"
#include "base/format.h"

namespace hearth::api {
namespace {

using inference::Overflow;
using inference::RerankReply;
using inference::RerankRequest;

constexpr std::array<std::string_view, 1> kTextsMember = {"texts"};
constexpr std::array<std::string_view, 8> kDocumentMembers = {"model",
                                                              "query",
                                                              "top_n",
                                                              "return_documents",
                                                              "max_chunks_per_doc",
                                                              "truncate",
                                                              "rank_fields",
                                                              "max_tokens_per_doc"};
constexpr std::array<std::string_view, 7> kTextMembers = {
    "model", "query", "top_n", "raw_scores", "return_text", "truncate", "truncation_direction"};

// Cohere's default for a document on /v2/rerank.
constexpr std::size_t kCohereDocumentTokens = 4096;

Result<std::vector<std::string>> take_texts(Body& body, std::string_view name) {
    if (body.shape == Body::Shape::Absent) {
        return fail(bad_member(name, format("{} is required: a list of texts", name)));
    }
    TRY_VOID(body.require_inputs(name));
    std::vector<std::string> texts;
    texts.reserve(body.inputs.size());
    for (auto& input : body.inputs) texts.push_back(std::get<std::string>(std::move(input)));
    return texts;
}

Result<std::string> read_query(const Body& body) {
    TRY(std::string query, body.text("query"));
    if (!query.empty()) return query;
    const bool absent = body.find("query") == nullptr;
    return fail(bad_member(
        "query", absent ? "query is required: a string" : "query must not be an empty string"));
}

// Its objects have fields, of which others than "text" may be asked for by name.
Result<void> check_rank_fields(const Body& body) {
    if (body.find("rank_fields") == nullptr) return {};
    return fail(bad_member("rank_fields",
                           "rank_fields is not served: a document is ranked by its text; leave it "
                           "out"));
}

Result<void> read_document_bounds(const Body& body, RerankShape shape, RerankRequest& request) {
    TRY(const bool truncate, body.flag("truncate", false));
    TRY(const auto chunks_max, body.count("max_chunks_per_doc", 1));
    TRY(const auto tokens_max, body.count("max_tokens_per_doc", 1));
    const bool cohere = shape == RerankShape::Cohere;
    request.document_tokens_max = tokens_max.value_or(cohere ? kCohereDocumentTokens : 0);
    // Of a long document one chunk is read.
    if (truncate || cohere || chunks_max || tokens_max) request.overflow = Overflow::CutRight;
    return {};
}

Result<RerankCall> parse_documents(std::string_view text, RerankShape shape) {
    TRY(Body body, read_body(text, {.input = "documents",
                                    .members = kDocumentMembers,
                                    .list_only = true,
                                    .text_objects = true,
                                    .inputs_max = inference::kDocumentsMax}));
    RerankCall call;
    TRY(call.request.model, body.text("model"));
    TRY(call.request.query, read_query(body));
    TRY(call.request.documents, take_texts(body, "documents"));
    TRY(call.top_n, body.count("top_n", 1));
    TRY(call.return_documents, body.flag("return_documents", false));
    TRY_VOID(check_rank_fields(body));
    TRY_VOID(read_document_bounds(body, shape, call.request));
    return call;
}

Result<RerankCall> parse_texts(std::string_view text) {
    TRY(Body body, read_body(text, {.input = "texts",
                                    .members = kTextMembers,
                                    .list_only = true,
                                    .inputs_max = inference::kDocumentsMax}));
    RerankCall call;
    TRY(call.request.model, body.text("model"));
    TRY(call.request.query, read_query(body));
    TRY(call.request.documents, take_texts(body, "texts"));
    TRY(call.top_n, body.count("top_n", 1));
    TRY(call.return_documents, body.flag("return_text", false));
    TRY(call.request.raw_scores, body.flag("raw_scores", false));
    TRY(call.request.overflow, tei::read_overflow(body));
    return call;
}

std::vector<std::size_t> best_first(const RerankReply& reply, const RerankCall& call) {
    std::vector<std::size_t> order(reply.scores.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::ranges::sort(order, {}, [&](std::size_t i) { return std::pair(-reply.scores[i], i); });
    order.resize(std::min(order.size(), call.top_n.value_or(order.size())));
    return order;
}

void append_after(std::string& out, std::string_view before, std::uint64_t count) {
    out += before;
    append_integer(out, count);
}

// [{"index":2,"relevance_score":0.9,"document":{"text":"..."}}]
void append_results(std::string& out, const RerankReply& reply, const RerankCall& call) {
    out += R"("results":[)";
    bool first = true;
    for (const std::size_t index : best_first(reply, call)) {
        append_after(out, first ? R"({"index":)" : R"(,{"index":)", index);
        first = false;
        out += R"(,"relevance_score":)";
        append_number(out, reply.scores[index]);
        if (call.return_documents) {
            out += R"(,"document":{"text":)";
            append_text(out, call.request.documents[index]);
            out += '}';
        }
        out += '}';
    }
    out += ']';
}

// A unit is one query with up to a hundred documents.
void append_cohere_meta(std::string& out, const RerankReply& reply, std::string_view version) {
    out += R"("meta":{"api_version":{"version":)";
    append_text(out, version);
    append_after(out, R"(},"billed_units":{"search_units":)", (reply.scores.size() + 99) / 100);
    if (reply.tokens > 0) append_after(out, R"(},"tokens":{"input_tokens":)", reply.tokens);
    out += "}}";
}

Reply encode_named(const RerankReply& reply, const RerankCall& call, std::string_view id) {
    Reply answer{.body = R"({"model":)"};
    std::string& out = answer.body;
    append_text(out, call.request.model);
    out += R"(,"object":"list",)";
    if (reply.tokens > 0) {
        append_after(out, R"("usage":{"prompt_tokens":)", reply.tokens);
        append_after(out, R"(,"total_tokens":)", reply.tokens);
        out += "},";
    }
    append_results(out, reply, call);
    out += R"(,"id":)";
    append_text(out, id);
    out += ',';
    append_cohere_meta(out, reply, "1");
    out += '}';
    return answer;
}

Reply encode_cohere(const RerankReply& reply, const RerankCall& call, std::string_view id) {
    Reply answer{.body = R"({"id":)"};
    append_text(answer.body, id);
    answer.body += ',';
    append_results(answer.body, reply, call);
    answer.body += ',';
    append_cohere_meta(answer.body, reply, "2");
    answer.body += '}';
    return answer;
}

Reply encode_ranks(const RerankReply& reply, const RerankCall& call) {
    Reply answer{.body = "["};
    for (const std::size_t index : best_first(reply, call)) {
        append_after(answer.body, answer.body.size() == 1 ? R"({"index":)" : R"(,{"index":)",
                     index);
        answer.body += R"(,"score":)";
        append_number(answer.body, reply.scores[index]);
        if (call.return_documents) {
            answer.body += R"(,"text":)";
            append_text(answer.body, call.request.documents[index]);
        }
        answer.body += '}';
    }
    answer.body += ']';
    return answer;
}

Reply encode_cohere_error(const Error& error) {
    const int status = http_status(error.code);
    Reply answer{.status = status, .retry_after = retry_after(error, status)};
    answer.body = R"({"message":)";
    append_text(answer.body, error.message);
    answer.body += '}';
    return answer;
}

// What the backend calls documents[3] is texts[3] there.
Error in_words_of_tei(Error error) {
    constexpr std::string_view kDocuments = "documents";
    if (!error.param.starts_with(kDocuments)) return error;
    if (error.message.starts_with(error.param)) {
        error.message.replace(0, kDocuments.size(), "texts");
    }
    error.param.replace(0, kDocuments.size(), "texts");
    return error;
}

}  // namespace

RerankShape rerank_shape(std::string_view body) {
    const auto read = read_body(body, {.members = kTextsMember});
    return read && read->find("texts") != nullptr ? RerankShape::Tei : RerankShape::Jina;
}

Result<RerankCall> parse_rerank(std::string_view body, RerankShape shape) {
    return shape == RerankShape::Tei ? parse_texts(body) : parse_documents(body, shape);
}

Reply encode_rerank(const RerankReply& reply, const RerankCall& call, RerankShape shape,
                    std::string_view id) {
    switch (shape) {
        case RerankShape::Jina: return encode_named(reply, call, id);
        case RerankShape::Cohere: return encode_cohere(reply, call, id);
        case RerankShape::Tei: return encode_ranks(reply, call);
    }
    return encode_ranks(reply, call);
}

Reply encode_rerank_error(const Error& error, RerankShape shape) {
    switch (shape) {
        case RerankShape::Jina: return openai::encode_error(error);
        case RerankShape::Cohere: return encode_cohere_error(error);
        case RerankShape::Tei: return tei::encode_error(in_words_of_tei(error));
    }
    return openai::encode_error(error);
}

}  // namespace hearth::api
