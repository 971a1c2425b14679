#include "api/rerank.h"

#include <gtest/gtest.h>

#include <boost/json.hpp>

#include "api/testing.h"
#include "base/format.h"

namespace hearth::api {
namespace {

namespace json = boost::json;
using inference::Overflow;
using inference::RerankReply;

constexpr RerankShape kShapes[] = {RerankShape::Jina, RerankShape::Cohere, RerankShape::Tei};

std::string documents_body(std::string_view more) {
    return format(R"({{"query":"q","documents":["a","b","c"]{}}})", more);
}

std::string texts_body(std::string_view more) {
    return format(R"({{"query":"q","texts":["a","b","c"]{}}})", more);
}

std::string rerank_refusal(std::string_view body, RerankShape shape = RerankShape::Jina) {
    const auto call = parse_rerank(body, shape);
    return call ? "accepted" : call.error().message;
}

RerankReply sample_scores() {
    return {.model = "m:latest", .scores = {0.25F, 0.75F, 0.25F}, .tokens = 21};
}

RerankCall call_of(std::string_view body, RerankShape shape) {
    auto call = parse_rerank(body, shape);
    EXPECT_TRUE(call) << call.error().message;
    return call ? *std::move(call) : RerankCall{};
}

json::value reranked(std::string_view body, RerankShape shape) {
    return json::parse(encode_rerank(sample_scores(), call_of(body, shape), shape, "id-1").body);
}

TEST(Rerank, TheShapeIsChosenByTextsInPlaceOfDocuments) {
    EXPECT_EQ(rerank_shape(texts_body("")), RerankShape::Tei);
    EXPECT_EQ(rerank_shape(R"({"texts":[]})"), RerankShape::Tei);
    EXPECT_EQ(rerank_shape(R"({"texts":"a"})"), RerankShape::Tei);
    EXPECT_EQ(rerank_shape(documents_body("")), RerankShape::Jina);
    EXPECT_EQ(rerank_shape(documents_body(R"(,"texts":null)")), RerankShape::Jina);
    EXPECT_EQ(rerank_shape(R"({"x":{"texts":[]}})"), RerankShape::Jina);
    for (const char* body : {"", "{", "[]", "null", "\"texts\"", R"({"texts":[)"}) {
        EXPECT_EQ(rerank_shape(body), RerankShape::Jina) << body;
    }
}

TEST(Rerank, ReadsJinasWords) {
    const RerankCall call = call_of(
        R"({"model":"m","query":"q","documents":["a",{"text":"b","id":[1,{"text":2}]}],"top_n":1,)"
        R"("return_documents":true})",
        RerankShape::Jina);
    EXPECT_EQ(call.request.model, "m");
    EXPECT_EQ(call.request.query, "q");
    EXPECT_EQ(call.request.documents, (std::vector<std::string>{"a", "b"}));
    EXPECT_EQ(call.request.overflow, Overflow::Refuse);
    EXPECT_EQ(call.request.document_tokens_max, 0U);
    EXPECT_FALSE(call.request.raw_scores);
    EXPECT_EQ(call.top_n, 1U);
    EXPECT_TRUE(call.return_documents);
    const RerankCall plain = call_of(documents_body(R"(,"top_n":null)"), RerankShape::Jina);
    EXPECT_EQ(plain.request.model, "");
    EXPECT_EQ(plain.top_n, std::nullopt);
    EXPECT_FALSE(plain.return_documents);
    EXPECT_EQ(call_of(documents_body(R"(,"truncate":true)"), RerankShape::Jina).request.overflow,
              Overflow::CutRight);
}

TEST(Rerank, ReadsCoheresBoundsOfADocument) {
    const auto jina = call_of(documents_body(R"(,"max_tokens_per_doc":7)"), RerankShape::Jina);
    EXPECT_EQ(jina.request.document_tokens_max, 7U);
    EXPECT_EQ(jina.request.overflow, Overflow::CutRight);
    const auto chunks = call_of(documents_body(R"(,"max_chunks_per_doc":10)"), RerankShape::Jina);
    EXPECT_EQ(chunks.request.document_tokens_max, 0U);
    EXPECT_EQ(chunks.request.overflow, Overflow::CutRight);
    const auto second = call_of(documents_body(""), RerankShape::Cohere);
    EXPECT_EQ(second.request.document_tokens_max, 4096U);
    EXPECT_EQ(second.request.overflow, Overflow::CutRight);
    EXPECT_EQ(call_of(documents_body(R"(,"max_tokens_per_doc":9)"), RerankShape::Cohere)
                  .request.document_tokens_max,
              9U);
}

TEST(Rerank, ReadsTeisWords) {
    const auto call = call_of(texts_body(R"(,"raw_scores":true,"return_text":true,"truncate":true,)"
                                         R"("truncation_direction":"Left","top_n":2)"),
                              RerankShape::Tei);
    EXPECT_EQ(call.request.documents, (std::vector<std::string>{"a", "b", "c"}));
    EXPECT_TRUE(call.request.raw_scores);
    EXPECT_TRUE(call.return_documents);
    EXPECT_EQ(call.request.overflow, Overflow::CutLeft);
    EXPECT_EQ(call.top_n, 2U);
    const auto plain = call_of(texts_body(""), RerankShape::Tei);
    EXPECT_FALSE(plain.request.raw_scores);
    EXPECT_EQ(plain.request.overflow, Overflow::Refuse);
}

TEST(Rerank, SaysWhatIsWrongAndWhere) {
    EXPECT_EQ(rerank_refusal(R"({"documents":["a"]})"), "query is required: a string");
    EXPECT_EQ(rerank_refusal(R"({"query":"","documents":["a"]})"),
              "query must not be an empty string");
    EXPECT_EQ(rerank_refusal(R"({"query":5,"documents":["a"]})"), "query must be a string, not 5");
    EXPECT_EQ(rerank_refusal(R"({"query":"q"})"), "documents is required: a list of texts");
    EXPECT_EQ(rerank_refusal(R"({"query":"q","documents":null})"),
              "documents is required: a list of texts");
    EXPECT_EQ(rerank_refusal(R"({"query":"q","documents":123})"),
              "documents must be a list of texts, not a number");
    EXPECT_EQ(rerank_refusal(R"({"query":"q","documents":"a"})"),
              "documents must be a list of texts, not a string");
    EXPECT_EQ(rerank_refusal(R"({"query":"q","documents":{"text":"a"}})"),
              "documents must be a list of texts, not an object");
    EXPECT_EQ(rerank_refusal(R"({"query":"q","documents":["a",1]})"),
              "documents[1] must be a string or an object with a member \"text\", not a number");
    EXPECT_EQ(rerank_refusal(R"({"query":"q","documents":[["a"]]})"),
              "documents[0] must be a string or an object with a member \"text\", not a list");
    EXPECT_EQ(rerank_refusal(R"({"query":"q","documents":["a",""]})"),
              "documents[1] must not be an empty string");
    EXPECT_EQ(rerank_refusal(documents_body(R"(,"top_n":0)")),
              "top_n must be a whole number from 1, not 0");
    EXPECT_EQ(rerank_refusal(documents_body(R"(,"max_chunks_per_doc":0)")),
              "max_chunks_per_doc must be a whole number from 1, not 0");
    EXPECT_EQ(rerank_refusal(documents_body(R"(,"max_tokens_per_doc":0)")),
              "max_tokens_per_doc must be a whole number from 1, not 0");
    EXPECT_EQ(rerank_refusal(documents_body(R"(,"return_documents":"yes")")),
              "return_documents must be true or false, not \"yes\"");
    EXPECT_TRUE(rerank_refusal(documents_body(R"(,"rank_fields":["title"])"))
                    .starts_with("rank_fields is not served"));
    EXPECT_TRUE(rerank_refusal("{").starts_with("the body is not valid JSON"));
}

TEST(Rerank, ChecksTheTextsOfObjects) {
    const auto refused = [](std::string_view item) {
        return rerank_refusal(format(R"({{"query":"q","documents":["a",{}]}})", item));
    };
    EXPECT_EQ(refused("{}"),
              "documents[1] has no text: it must be a string or an object with a member \"text\"");
    EXPECT_EQ(refused(R"({"title":"b","more":{"text":"c"}})"), refused("{}"));
    EXPECT_EQ(refused(R"({"text":1})"), "documents[1].text must be a string, not a number");
    EXPECT_EQ(refused(R"({"text":1.5})"), "documents[1].text must be a string, not a number");
    EXPECT_EQ(refused(R"({"text":null})"), "documents[1].text must be a string, not null");
    EXPECT_EQ(refused(R"({"text":true})"), "documents[1].text must be a string, not true");
    EXPECT_EQ(refused(R"({"text":["b"]})"), "documents[1].text must be a string, not a list");
    EXPECT_EQ(refused(R"({"text":{"text":"b"}})"),
              "documents[1].text must be a string, not an object");
    EXPECT_EQ(refused(R"({"text":""})"), "documents[1] must not be an empty string");
    const auto last = call_of(
        R"({"query":"q","documents":[{"text":"x","n":[1,2.5,null,true,"t"],"text":"y\n"}]})",
        RerankShape::Jina);
    EXPECT_EQ(last.request.documents, (std::vector<std::string>{"y\n"}));
    // TEI's texts are none.
    EXPECT_EQ(rerank_refusal(R"({"query":"q","texts":[{"text":"a"}]})", RerankShape::Tei),
              "texts[0] must be a string, not an object");
}

TEST(Rerank, BoundsTheDocuments) {
    for (const auto shape : kShapes) {
        const auto body = [&](std::size_t count) {
            std::string list;
            for (std::size_t i = 0; i < count; ++i) list += i == 0 ? R"("a")" : R"(,"a")";
            return format(R"({{"query":"q","{}":[{}]}})",
                          shape == RerankShape::Tei ? "texts" : "documents", list);
        };
        EXPECT_EQ(call_of(body(inference::kDocumentsMax), shape).request.documents.size(),
                  inference::kDocumentsMax);
        EXPECT_TRUE(
            rerank_refusal(body(inference::kDocumentsMax + 1), shape).contains("more than 2048"));
        const auto none = parse_rerank(body(0), shape);
        ASSERT_FALSE(none);
        EXPECT_EQ(none.error().reason, "empty");
    }
}

TEST(Rerank, AnswersJinaAndCoheresFirstVersionAtOnce) {
    const json::value answer = reranked(documents_body(R"(,"model":"m")"), RerankShape::Jina);
    EXPECT_EQ(answer.at("model").as_string(), "m");
    EXPECT_EQ(answer.at("object").as_string(), "list");
    EXPECT_EQ(answer.at("usage").at("prompt_tokens").as_int64(), 21);
    EXPECT_EQ(answer.at("usage").at("total_tokens").as_int64(), 21);
    EXPECT_EQ(json::serialize(answer.at("results")),
              json::serialize(json::parse(R"([{"index":1,"relevance_score":0.75},)"
                                          R"({"index":0,"relevance_score":0.25},)"
                                          R"({"index":2,"relevance_score":0.25}])")));
    EXPECT_EQ(answer.at("id").as_string(), "id-1");
    EXPECT_EQ(answer.at("meta").at("api_version").at("version").as_string(), "1");
    EXPECT_EQ(answer.at("meta").at("billed_units").at("search_units").as_int64(), 1);
}

TEST(Rerank, AnswersCoheresSecondVersion) {
    const json::value answer = reranked(documents_body(R"(,"top_n":1)"), RerankShape::Cohere);
    EXPECT_EQ(answer.as_object().size(), 3U);
    EXPECT_EQ(answer.at("id").as_string(), "id-1");
    ASSERT_EQ(answer.at("results").as_array().size(), 1U);
    EXPECT_EQ(answer.at("results").at(0).at("index").as_int64(), 1);
    EXPECT_EQ(answer.at("meta").at("api_version").at("version").as_string(), "2");
    EXPECT_EQ(answer.at("meta").at("tokens").at("input_tokens").as_int64(), 21);
}

TEST(Rerank, TellsNoTokensThatItDoesNotKnow) {
    RerankReply scores = sample_scores();
    scores.tokens = 0;
    for (const RerankShape shape : {RerankShape::Jina, RerankShape::Cohere}) {
        const json::value answer = json::parse(
            encode_rerank(scores, call_of(documents_body(R"(,"model":"m")"), shape), shape, "id-1")
                .body);
        EXPECT_FALSE(answer.as_object().contains("usage"));
        EXPECT_FALSE(answer.at("meta").as_object().contains("tokens"));
        EXPECT_EQ(answer.at("meta").at("billed_units").at("search_units").as_int64(), 1);
    }
}

TEST(Rerank, AnswersTeiWithABareList) {
    const json::value plain = reranked(texts_body(""), RerankShape::Tei);
    ASSERT_EQ(plain.as_array().size(), 3U);
    EXPECT_EQ(plain.at(0).as_object().size(), 2U);
    EXPECT_EQ(plain.at(0).at("index").as_int64(), 1);
    EXPECT_EQ(plain.at(0).at("score").to_number<double>(), 0.75);
    const json::value some =
        reranked(texts_body(R"(,"top_n":2,"return_text":true)"), RerankShape::Tei);
    ASSERT_EQ(some.as_array().size(), 2U);
    EXPECT_EQ(some.at(1).at("index").as_int64(), 0);
    EXPECT_EQ(some.at(1).at("text").as_string(), "a");
}

TEST(Rerank, ReturnsDocumentsWhereAskedAndNoMoreThanThereAre) {
    const json::value answer =
        reranked(R"({"query":"q","documents":["a",{"text":"b \"x\""},"c"],"top_n":99,)"
                 R"("return_documents":true})",
                 RerankShape::Jina);
    ASSERT_EQ(answer.at("results").as_array().size(), 3U);
    EXPECT_EQ(answer.at("results").at(0).at("document").at("text").as_string(), "b \"x\"");
}

TEST(Rerank, WritesErrorsAsEachShapeDoes) {
    for (const Code code : kAllCodes) {
        const Error error{
            .code = code, .message = "documents[3] is \"long\"", .param = "documents[3]"};
        for (const auto shape : kShapes) {
            const Reply reply = encode_rerank_error(error, shape);
            EXPECT_GE(reply.status, 400);
            EXPECT_LT(reply.status, 600);
            EXPECT_EQ(reply.retry_after.has_value(), reply.status == 429 || reply.status == 503);
            boost::system::error_code invalid;
            const json::value body = json::parse(reply.body, invalid);
            ASSERT_FALSE(invalid) << reply.body;
            const bool cohere = shape == RerankShape::Cohere;
            EXPECT_TRUE(body.as_object().contains(cohere ? "message" : "error")) << reply.body;
        }
    }
    const Error wrong{.code = Code::InvalidArgument,
                      .message = "documents[3] and the query have 600 tokens",
                      .param = "documents[3]"};
    const Reply tei = encode_rerank_error(wrong, RerankShape::Tei);
    EXPECT_EQ(tei.status, 422);
    const json::value body = json::parse(tei.body);
    EXPECT_EQ(body.at("error").as_string(), "texts[3] and the query have 600 tokens");
    EXPECT_EQ(body.at("error_type").as_string(), "Validation");
    const auto none = parse_rerank(R"({"query":"q","texts":[]})", RerankShape::Tei);
    ASSERT_FALSE(none);
    EXPECT_EQ(encode_rerank_error(none.error(), RerankShape::Tei).status, 400);
    const json::value jina = json::parse(encode_rerank_error(wrong, RerankShape::Jina).body);
    EXPECT_EQ(jina.at("error").at("param").as_string(), "documents[3]");
}

}  // namespace
}  // namespace hearth::api
