#include <gtest/gtest.h>

#include <cmath>

#include "http_probe.h"
#include "server_process.h"

namespace hearth::system_test {
namespace {

// One server for all the cases of a suite: none of them disturbs it.
class Routes : public ::testing::Test {
  protected:
    static void SetUpTestSuite() { server_ = new ServerProcess(); }
    static void TearDownTestSuite() {
        delete server_;
        server_ = nullptr;
    }
    static const std::string& address() { return server_->address(); }

  private:
    static ServerProcess* server_;
};

ServerProcess* Routes::server_ = nullptr;

TEST_F(Routes, HealthIsLiveAndReady) {
    for (const char* path : {"/health", "/health/live", "/health/ready"})
        EXPECT_EQ(get(address(), path).status, 200) << path;
}

TEST_F(Routes, MetricsAreInTheTextFormat) {
    post(address(), "/v1/embeddings", embeddings_body("all-minilm", {"x"}));
    const Reply reply = get(address(), "/metrics");
    EXPECT_EQ(reply.status, 200);
    EXPECT_TRUE(reply.field("content-type").starts_with("text/plain"));
    EXPECT_NE(reply.body.find("# TYPE hearth_"), std::string::npos) << reply.body.substr(0, 500);
}

TEST_F(Routes, AnUnknownPathIsNotFoundInTheDialectOfThePath) {
    const Reply openai = get(address(), "/v1/no-such");
    EXPECT_EQ(openai.status, 404);
    EXPECT_FALSE(openai.json().at("error").at("message").as_string().empty());
    const Reply ollama = get(address(), "/api/no-such");
    EXPECT_EQ(ollama.status, 404);
    EXPECT_TRUE(ollama.json().at("error").is_string());
}

TEST_F(Routes, AWrongMethodIsAnsweredWithTheRightOne) {
    const Reply reply = get(address(), "/v1/embeddings");
    EXPECT_EQ(reply.status, 405);
    EXPECT_EQ(reply.field("allow"), "POST");
}

TEST_F(Routes, HeadIsServedWhereverGetIs) {
    for (const char* path : {"/", "/health", "/api/tags", "/api/version", "/v1/models"}) {
        HttpProbe probe(address());
        EXPECT_EQ(probe.exchange("HEAD", path, {}).status, 200) << path;
        EXPECT_EQ(probe.get("/health").status, 200) << "a body followed HEAD " << path;
    }
}

TEST_F(Routes, BrokenJsonIsABadRequestInEveryDialect) {
    for (const char* path : {"/v1/embeddings", "/api/embed", "/api/embeddings", "/api/show",
                             "/embed", "/v1/rerank", "/rerank"}) {
        for (const char* body : {"", "{", "[]", "{\"input\":\"\xff\"}", "null"}) {
            const Reply reply = post(address(), path, body);
            EXPECT_GE(reply.status, 400) << path << ' ' << body;
            EXPECT_LT(reply.status, 500) << path << ' ' << body << ' ' << reply.body;
            EXPECT_TRUE(reply.json().as_object().contains("error")) << path << ' ' << reply.body;
        }
    }
}

TEST_F(Routes, EmbeddingsAnswerSaysWhereItCameFrom) {
    const Reply reply =
        post(address(), "/v1/embeddings", embeddings_body("all-minilm", {"one", "two"}));
    ASSERT_EQ(reply.status, 200) << reply.body;
    EXPECT_FALSE(reply.field("x-hearth-request-id").empty());
    EXPECT_FALSE(reply.field("x-hearth-model").empty());
    EXPECT_FALSE(reply.field("x-hearth-backend").empty());
    EXPECT_NE(reply.field("server-timing").find("dur="), std::string::npos);
}

TEST_F(Routes, VectorsHaveUnitLength) {
    const Reply reply = post(address(), "/embed", R"({"inputs":["fn main() {}","日本語"]})");
    ASSERT_EQ(reply.status, 200) << reply.body;
    const auto vectors = reply.json();
    ASSERT_EQ(vectors.as_array().size(), 2U);
    for (const auto& vector : vectors.as_array()) {
        ASSERT_EQ(vector.as_array().size(), 384U);
        double sum = 0;
        for (const auto& value : vector.as_array())
            sum += value.to_number<double>() * value.to_number<double>();
        EXPECT_NEAR(std::sqrt(sum), 1.0, 1e-4);
    }
}

TEST_F(Routes, OllamaLivenessTextIsTheOneItsClientsKnow) {
    EXPECT_EQ(get(address(), "/").body, "Ollama is running");
}

TEST_F(Routes, AChunkedBodyIsRead) {
    HttpProbe probe(address());
    probe.write(
        "POST /v1/embeddings HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
        "1b\r\n{\"model\":\"all-minilm\",\"inpu\r\nd\r\nt\":\"chunk\"}  \r\n0\r\n\r\n");
    const Reply reply = probe.read_reply();
    EXPECT_EQ(reply.status, 200) << reply.body;
}

TEST_F(Routes, PipelinedRequestsAreAnsweredInOrder) {
    HttpProbe probe(address());
    probe.write(
        "GET /api/version HTTP/1.1\r\nHost: localhost\r\n\r\n"
        "GET /no-such HTTP/1.1\r\nHost: localhost\r\n\r\n"
        "GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n");
    EXPECT_TRUE(probe.read_reply().json().as_object().contains("version"));
    EXPECT_EQ(probe.read_reply().status, 404);
    EXPECT_EQ(probe.read_reply().status, 200);
}

TEST_F(Routes, AnExpectedContinueIsGiven) {
    HttpProbe probe(address());
    const std::string body = embeddings_body("all-minilm", {"x"});
    probe.write(
        "POST /v1/embeddings HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\n"
        "Content-Length: " +
        std::to_string(body.size()) + "\r\n\r\n");
    EXPECT_EQ(probe.read_reply().status, 100);
    probe.write(body);
    EXPECT_EQ(probe.read_reply().status, 200);
}

}  // namespace
}  // namespace hearth::system_test
