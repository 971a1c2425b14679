#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <cmath>
#include <set>
#include <thread>

#include "http_probe.h"
#include "server_process.h"
#include "testing/gguf_models.h"

// Reranking through the real server and the real llama-server.
namespace hearth::system_test {
namespace {

namespace json = boost::json;
using std::chrono::seconds;
using testing::GgufKind;

class Reranking : public ::testing::Test {
  protected:
    static void SetUpTestSuite() {
        for (const auto kind : {GgufKind::Text, GgufKind::Embedder, GgufKind::Reranker}) {
            hearth::testing::make_gguf(kind);
        }
        const std::string folder = hearth::testing::gguf_cache().string();
        server_ = new ServerProcess(
            {.arguments = {},
             .environment = {"HEARTH_MODELS__DIRECTORIES=" + folder, "HEARTH_LLAMA__PARALLEL=4"}});
    }
    static void TearDownTestSuite() {
        delete server_;
        server_ = nullptr;
    }
    static const std::string& address() { return server_->address(); }
    static Reply ask(std::string_view path, const json::object& body) {
        return post(address(), path, json::serialize(body));
    }

  private:
    static ServerProcess* server_;
};

ServerProcess* Reranking::server_ = nullptr;

const json::array kAnimals = {"a panda is a bear", "paris is a city", "the retry limit is five",
                              "bears eat bamboo"};

json::object rerank_body(const json::array& documents = kAnimals) {
    return {{"model", "tiny-reranker"}, {"query", "what is a panda?"}, {"documents", documents}};
}

json::object texts_body(const json::array& texts = kAnimals) {
    return {{"query", "what is a panda?"}, {"texts", texts}};
}

double score_in(const json::value& of, std::string_view name) {
    return of.at(name).to_number<double>();
}

std::string long_text() {
    std::string text;
    for (int i = 0; i < 600; ++i) text += "word ";
    return text;
}

TEST_F(Reranking, ACallThatNamesNoModelFindsTheOnlyOneElsewhere) {
    const ServerProcess near(
        {.arguments = {},
         .environment = {"HEARTH_MODELS__INSTALLED=false", "HEARTH_MODELS__OLLAMA_STORE=false",
                         "HEARTH_MODELS__HUB_CACHE=false", "HEARTH_ROUTING__FIND_OLLAMA=false",
                         "HEARTH_BACKENDS__FAR__URL=http://" + address(),
                         "HEARTH_BACKENDS__FAR__MODELS=tiny-reranker"}});
    for (const char* path : {"/v1/rerank", "/v2/rerank"}) {
        json::object body = rerank_body();
        if (std::string_view(path) == "/v1/rerank") body.erase("model");
        const Reply reply = post(near.address(), path, json::serialize(body));
        ASSERT_EQ(reply.status, 200) << reply.body;
        EXPECT_EQ(reply.json().at("results").as_array().size(), kAnimals.size());
    }
    EXPECT_EQ(post(near.address(), "/rerank", json::serialize(texts_body())).status, 200);
}

TEST_F(Reranking, ResultsAreSortedAndTheSameOnEveryPath) {
    const Reply first = ask("/v1/rerank", rerank_body());
    ASSERT_EQ(first.status, 200) << first.body;
    EXPECT_EQ(first.field("x-hearth-model"), "tiny-reranker:q8_0");
    EXPECT_EQ(first.field("x-hearth-backend"), "llama/tiny-reranker:q8_0");
    EXPECT_TRUE(first.field("server-timing").contains("compute;dur="));
    const json::value answer = first.json();
    EXPECT_EQ(answer.at("model").as_string(), "tiny-reranker");
    // [CLS] what is a panda ? [SEP] and each document [SEP]; retry is two tokens.
    EXPECT_EQ(answer.at("usage").at("prompt_tokens").as_int64(), 4 * 8 + 5 + 4 + 6 + 3);
    const json::array& results = answer.at("results").as_array();
    ASSERT_EQ(results.size(), 4U);
    std::set<std::int64_t> indices;
    double before = 1;
    for (const json::value& result : results) {
        EXPECT_EQ(result.as_object().size(), 2U);
        EXPECT_LE(score_in(result, "relevance_score"), before);
        EXPECT_GT(score_in(result, "relevance_score"), 0);
        before = score_in(result, "relevance_score");
        indices.insert(result.at("index").as_int64());
    }
    EXPECT_EQ(indices, (std::set<std::int64_t>{0, 1, 2, 3}));
    EXPECT_GT(score_in(results.front(), "relevance_score"), before);
    for (const char* path : {"/rerank", "/v1/reranking", "/reranking", "/v2/rerank"}) {
        const Reply other = ask(path, rerank_body());
        ASSERT_EQ(other.status, 200) << path << other.body;
        const json::value same = other.json();
        for (std::size_t i = 0; i < 4; ++i) {
            const json::value& result = same.at("results").at(i);
            EXPECT_EQ(result.at("index"), results[i].at("index")) << path;
            EXPECT_NEAR(score_in(result, "relevance_score"),
                        score_in(results[i], "relevance_score"), 1e-4);
        }
    }
    EXPECT_GE(metric(address(), R"(hearth_rerank_documents_total{model="tiny-reranker:q8_0"})"),
              20);
}

TEST_F(Reranking, GivesAsManyAsAskedForWithTheirTexts) {
    json::object body = rerank_body({"paris is a city", json::object{{"text", "a \"panda\""}}});
    body["return_documents"] = true;
    const json::value both = ask("/v1/rerank", body).json();
    for (const json::value& result : both.at("results").as_array()) {
        EXPECT_EQ(result.at("document").at("text").as_string(),
                  result.at("index").as_int64() == 0 ? "paris is a city" : "a \"panda\"");
    }
    body["top_n"] = 1;
    const json::value one = ask("/v2/rerank", body).json();
    ASSERT_EQ(one.at("results").as_array().size(), 1U);
    EXPECT_EQ(one.at("results").at(0), both.at("results").at(0));
    EXPECT_FALSE(one.at("id").as_string().empty());
    EXPECT_EQ(one.at("meta").at("api_version").at("version").as_string(), "2");
}

TEST_F(Reranking, SpeaksTeisShapeWithoutAModelsName) {
    const json::value jina = ask("/rerank", rerank_body()).json().at("results");
    json::object body = texts_body();
    body["return_text"] = true;
    const Reply reply = ask("/rerank", body);
    ASSERT_EQ(reply.status, 200) << reply.body;
    const json::value list = reply.json();
    ASSERT_EQ(list.as_array().size(), 4U);
    body["raw_scores"] = true;
    const json::value raw = ask("/rerank", body).json();
    for (std::size_t i = 0; i < 4; ++i) {
        const json::value& item = list.at(i);
        EXPECT_EQ(item.at("index"), jina.at(i).at("index"));
        EXPECT_NEAR(score_in(item, "score"), score_in(jina.at(i), "relevance_score"), 1e-4);
        EXPECT_EQ(item.at("text"), kAnimals[item.at("index").to_number<std::size_t>()]);
        EXPECT_NEAR(1 / (1 + std::exp(-score_in(raw.at(i), "score"))), score_in(item, "score"),
                    1e-4);
    }
}

TEST_F(Reranking, RefusesInTheDialectOfTheRequest) {
    const Reply none = ask("/v1/rerank", rerank_body({}));
    EXPECT_EQ(none.status, 400) << none.body;
    EXPECT_EQ(none.json().at("error").at("param").as_string(), "documents");
    const Reply tei = ask("/rerank", texts_body({}));
    EXPECT_EQ(tei.status, 400) << tei.body;
    EXPECT_EQ(tei.json().at("error_type").as_string(), "Empty");
    const Reply cohere = ask("/v2/rerank", rerank_body({}));
    EXPECT_EQ(cohere.status, 400) << cohere.body;
    EXPECT_EQ(cohere.json().at("message").as_string(), "documents must not be an empty list");
    EXPECT_EQ(get(address(), "/v2/rerank").status, 405);
    EXPECT_TRUE(get(address(), "/v2/rerank").json().as_object().contains("message"));

    json::object body = rerank_body();
    body["model"] = "no-such";
    EXPECT_EQ(ask("/v1/rerank", body).status, 404);
    for (const char* model : {"all-minilm", "tiny-embedder", "tiny-text"}) {
        body["model"] = model;
        const Reply reply = ask("/v1/rerank", body);
        EXPECT_EQ(reply.status, 400) << reply.body;
        EXPECT_EQ(reply.json().at("error").at("code").as_string(), "model_cannot_rerank");
    }
    const Reply vectors = ask("/v1/embeddings", {{"model", "tiny-reranker"}, {"input", "a"}});
    EXPECT_EQ(vectors.status, 400);
    EXPECT_EQ(vectors.json().at("error").at("code").as_string(), "model_cannot_embed");
}

TEST_F(Reranking, ALongDocumentIsNamedOrCut) {
    const json::array documents = {"short", long_text()};
    const Reply jina = ask("/v1/rerank", rerank_body(documents));
    EXPECT_EQ(jina.status, 400) << jina.body;
    EXPECT_EQ(jina.json().at("error").at("code").as_string(), "context_length_exceeded");
    EXPECT_EQ(jina.json().at("error").at("param").as_string(), "documents[1]");
    const Reply tei = ask("/rerank", texts_body(documents));
    EXPECT_EQ(tei.status, 422) << tei.body;
    EXPECT_TRUE(std::string_view(tei.json().at("error").as_string()).starts_with("texts[1] and "));
    json::object body = texts_body(documents);
    body["truncate"] = true;
    EXPECT_EQ(ask("/rerank", body).status, 200);
    body = rerank_body(documents);
    EXPECT_EQ(ask("/v2/rerank", body).status, 200);
    body["max_tokens_per_doc"] = 30;
    const Reply bounded = ask("/v1/rerank", body);
    ASSERT_EQ(bounded.status, 200) << bounded.body;
    EXPECT_EQ(bounded.json().at("usage").at("total_tokens").as_int64(), 2 * 8 + 1 + 30);
}

TEST_F(Reranking, ACallerWhoLeavesIsCountedAndTheNextIsServed) {
    const std::string left =
        R"(hearth_requests_total{model="tiny-reranker:q8_0",operation="rerank",outcome="left"})";
    const double before = metric(address(), left);
    json::array documents;
    for (int i = 0; i < 2000; ++i) documents.emplace_back("bears eat bamboo " + std::to_string(i));
    const std::string text = json::serialize(rerank_body(documents));
    auto probe = std::make_unique<HttpProbe>(address());
    probe->write("POST /v1/rerank HTTP/1.1\r\nHost: localhost\r\nContent-Length: " +
                 std::to_string(text.size()) + "\r\n\r\n" + text);
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    probe.reset();
    EXPECT_TRUE(eventually(seconds(5), [&] { return metric(address(), left) > before; }));
    EXPECT_EQ(ask("/v1/rerank", rerank_body()).status, 200);
}

TEST_F(Reranking, TheModelSaysWhatItCanDo) {
    const json::value shown = ask("/api/show", {{"model", "tiny-reranker"}}).json();
    EXPECT_EQ(shown.at("capabilities"), json::value(json::array{"rerank"}));
    const Ended printed = run_hearth({"show", "tiny-reranker", "--url", address()});
    EXPECT_EQ(printed.code, 0) << printed.errors;
    EXPECT_TRUE(printed.output.contains("rerank")) << printed.output;
}

}  // namespace
}  // namespace hearth::system_test
