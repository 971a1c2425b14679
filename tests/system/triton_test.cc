#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <cmath>
#include <filesystem>
#include <fstream>

#include "base/format.h"
#include "cli_process.h"
#include "http_probe.h"
#include "server_process.h"
#include "testing/kserve_server.h"
#include "tiny_model.h"

// A gateway without models of its own in front of a server that speaks KServe's protocol, whose
// vectors tell which tokens it was sent.
namespace hearth::system_test {
namespace {

namespace json = boost::json;
using Ids = std::vector<std::int64_t>;
using Floats = std::vector<float>;
using hearth::testing::KserveServer;

// Of the vocabulary in tiny_model.cc: "hello world" is 5 6, "worlds" 6 7, "int main()" 8 9 10 11,
// what it does not have 1, and every text stands between 2 and 3.
constexpr std::size_t kWindow = 32;

class TritonTest : public ::testing::Test {
  protected:
    TritonTest() { write_model(tokenizer(), make_tiny_model()); }
    ~TritonTest() override {
        near_.reset();
        std::filesystem::remove_all(folder_);
    }

    std::string tokenizer() const { return (folder_ / "tiny").string(); }
    StartOptions options(const std::string& keys) const {
        std::ofstream(folder_ / "hearth.yaml") << format(
            "backends:\n  box:\n    kind: triton\n    url: http://{}\n{}", server_.address(), keys);
        StartOptions options{.arguments = {"--config", (folder_ / "hearth.yaml").string()},
                             .environment = {"HEARTH_ROUTING__FIND_OLLAMA=false"}};
        for (const char* name : {"INSTALLED", "OLLAMA_STORE", "HUB_CACHE"}) {
            options.environment.push_back(format("HEARTH_MODELS__{}=false", name));
        }
        return options;
    }
    const std::string& near(const std::string& keys = "") {
        if (!near_) {
            near_ = std::make_unique<ServerProcess>(
                options(keys.empty() ? format("    tokenizer: {}\n", tokenizer()) : keys));
        }
        return near_->address();
    }
    Reply ask(const char* route, const std::string& body) { return post(near(), route, body); }
    static Floats floats(const json::value& list) { return json::value_to<Floats>(list); }

    const std::filesystem::path folder_ = make_folder();
    KserveServer server_;
    std::unique_ptr<ServerProcess> near_;
};

TEST_F(TritonTest, EveryDialectOfEmbeddingsSendsOurTokens) {
    const std::string texts = R"t(["Hello world", "int main()"])t";
    // Sums of ids, of ids times places, tokens, 1.
    const Floats first = {16, 2 + 10 + 18 + 12, 4, 1};
    const Floats second = {43, 2 + 16 + 27 + 40 + 55 + 18, 6, 1};
    const Reply tei = post(
        near(format("    tokenizer: {}\n    models: [all-minilm=narrow, bert]\n", tokenizer())),
        "/embed", format(R"({{"inputs":{},"normalize":false}})", texts));
    ASSERT_EQ(tei.status, 200) << tei.body;
    EXPECT_EQ(floats(tei.json().at(0)), first);
    EXPECT_EQ(floats(tei.json().at(1)), second);
    const auto expect_direction = [](const Floats& row, const Floats& of) {
        ASSERT_EQ(row.size(), of.size());
        double squares = 0;
        for (const double value : of) squares += value * value;
        for (std::size_t i = 0; i < row.size(); ++i) {
            EXPECT_NEAR(row[i], of[i] / std::sqrt(squares), 1e-5);
        }
    };
    const Reply openai =
        ask("/v1/embeddings", format(R"({{"model":"all-minilm","input":{}}})", texts));
    ASSERT_EQ(openai.status, 200) << openai.body;
    expect_direction(floats(openai.json().at("data").at(0).at("embedding")), first);
    expect_direction(floats(openai.json().at("data").at(1).at("embedding")), second);
    EXPECT_EQ(openai.json().at("usage").at("prompt_tokens").to_number<int>(), 10);
    EXPECT_EQ(openai.field("x-hearth-backend"), "box");
    const Reply ollama = ask("/api/embed", format(R"({{"model":"all-minilm","input":{}}})", texts));
    ASSERT_EQ(ollama.status, 200) << ollama.body;
    expect_direction(floats(ollama.json().at("embeddings").at(0)), first);
    expect_direction(floats(ollama.json().at("embeddings").at(1)), second);
    const auto calls = server_.calls();
    ASSERT_EQ(calls.size(), 3U);
    for (const auto& call : calls) {
        EXPECT_EQ(call.model, "narrow");
        // The longer text goes first.
        EXPECT_EQ(call.ids, (Ids{2, 8, 9, 10, 11, 3, 2, 5, 6, 3, 0, 0}));
    }
}

TEST_F(TritonTest, TokensArePooledHereWhereTheModelDoesNot) {
    const Reply mean = ask("/v1/embeddings", R"({"model":"box/bert","input":["worlds","hello"]})");
    ASSERT_EQ(mean.status, 200) << mean.body;
    const Floats row = floats(mean.json().at("data").at(0).at("embedding"));
    // 2 6 7 3 have the mean 4.5, their places 2.5, each ends with 1.
    const auto length = std::sqrt(4.5F * 4.5F + 2.5F * 2.5F + 1);
    EXPECT_NEAR(row[0], 4.5F / length, 1e-6);
    EXPECT_NEAR(row[1], 2.5F / length, 1e-6);
    const Reply ids = ask("/v1/embeddings", R"({"model":"bert","input":[[6,7]]})");
    ASSERT_EQ(ids.status, 200) << ids.body;
    EXPECT_EQ(floats(ids.json().at("data").at(0).at("embedding")), row);
}

TEST_F(TritonTest, MoreTextsThanABatchKeepTheirOrder) {
    std::string texts;
    for (int i = 0; i < 20; ++i) {
        texts += i > 0 ? "," : "";
        texts += '"';
        for (int word = 0; word <= i * 7 % 20; ++word) texts += "hello ";
        texts += '"';
    }
    const Reply reply =
        ask("/v1/embeddings", format(R"({{"model":"narrow","input":[{}]}})", texts));
    ASSERT_EQ(reply.status, 200) << reply.body;
    for (int i = 0; i < 20; ++i) {
        const Floats row = floats(reply.json().at("data").at(i).at("embedding"));
        const auto words = static_cast<float>(i * 7 % 20 + 1);
        EXPECT_NEAR(row[2] / row[3], words + 2, 1e-3) << i;
        EXPECT_NEAR(row[0] / row[3], 5 * words + 5, 1e-2) << i;
    }
    EXPECT_EQ(server_.calls().size(), 7U) << "three texts in each";
}

TEST_F(TritonTest, ATextThatIsTooLongIsRefusedOrCut) {
    std::string text;
    for (std::size_t i = 0; i < kWindow - 1; ++i) text += "hello ";
    const Reply refused =
        ask("/v1/embeddings", format(R"({{"model":"narrow","input":"{}"}})", text));
    EXPECT_EQ(refused.status, 400) << refused.body;
    EXPECT_TRUE(refused.body.contains("context_length_exceeded")) << refused.body;
    EXPECT_TRUE(refused.body.contains("33 tokens")) << refused.body;
    EXPECT_TRUE(server_.calls().empty());
    const Reply cut = ask("/api/embed", format(R"({{"model":"narrow","input":"{}"}})", text));
    EXPECT_EQ(cut.status, 200) << cut.body;
    EXPECT_EQ(server_.calls().at(0).length, kWindow);
}

TEST_F(TritonTest, AModelThatTakesTextsAndOneThatSpeaks) {
    const Reply vectors = ask("/v1/embeddings", R"({"model":"texts","input":"hey"})");
    ASSERT_EQ(vectors.status, 200) << vectors.body;
    EXPECT_EQ(server_.calls().at(0).texts, std::vector<std::string>{"hey"});
    const Reply said = ask("/v1/completions", R"({"model":"speak","prompt":"hey","max_tokens":9})");
    ASSERT_EQ(said.status, 200) << said.body;
    EXPECT_EQ(said.json().at("choices").at(0).at("text").as_string(), "You said: hey");
    const Reply raw =
        ask("/api/generate", R"({"model":"speak","prompt":"hey","raw":true,"stream":false})");
    ASSERT_EQ(raw.status, 200) << raw.body;
    EXPECT_EQ(raw.json().at("response").as_string(), "You said: hey");
}

TEST_F(TritonTest, WhatItCannotDoIsSaidInTheCallersWords) {
    const std::string chat = R"(,"messages":[{"role":"user","content":"hi"}],"max_tokens":9)";
    struct Way {
        const char* route;
        std::string body;
    };
    const Way ways[] = {
        {"/v1/chat/completions", R"({"model":"bert")" + chat + "}"},
        {"/v1/chat/completions", R"({"model":"speak")" + chat + "}"},
        {"/v1/messages", R"({"model":"bert")" + chat + "}"},
        {"/api/chat", R"({"model":"bert")" + chat + "}"},
        {"/v1/completions", R"({"model":"bert","prompt":"hi"})"},
        {"/v1/completions", R"({"model":"speak","prompt":"hi","logprobs":3})"},
        {"/v1/embeddings", R"({"model":"speak","input":"hi"})"},
        {"/v1/embeddings", R"({"model":"pixels","input":"hi"})"},
        {"/api/embed", R"({"model":"pixels","input":"hi"})"},
        {"/v1/rerank", R"({"model":"bert","query":"a","documents":["b"]})"},
    };
    for (const Way& way : ways) {
        const Reply reply = ask(way.route, way.body);
        // Anthropic's dialect has no such status.
        const int expected = std::string_view(way.route) == "/v1/messages" ? 400 : 501;
        EXPECT_EQ(reply.status, expected) << way.route << way.body << reply.body;
        EXPECT_TRUE(reply.body.contains("error")) << reply.body;
    }
    EXPECT_TRUE(server_.calls().empty());
}

TEST_F(TritonTest, FailuresOfTheServerAreTold) {
    for (const char* fault : {"bad-400", "bad-500", "bad-nan", "bad-tail", "bad-output"}) {
        server_.add_model(fault, fault);
    }
    const auto status = [&](std::string_view model) {
        return ask("/v1/embeddings", format(R"({{"model":"box/{}","input":"hello"}})", model))
            .status;
    };
    EXPECT_EQ(status("bad-400"), 400);
    EXPECT_EQ(status("nobody"), 404);
    for (const char* fault : {"bad-nan", "bad-tail", "bad-output", "bad-500"}) {
        EXPECT_EQ(status(fault), 502) << fault;
        EXPECT_EQ(status("narrow"), 200) << "after " << fault;
    }
}

TEST_F(TritonTest, AnotherServerStandsInForOneThatFails) {
    KserveServer second;
    server_.add_model("narrow", "bad-500");
    near(
        format("    tokenizer: {0}\n  two:\n    kind: triton\n    url: http://{1}\n"
               "    tokenizer: {0}\n",
               tokenizer(), second.address()));
    for (int i = 0; i < 6; ++i) {
        const Reply reply = ask("/v1/embeddings", R"({"model":"narrow","input":"hello"})");
        ASSERT_EQ(reply.status, 200) << reply.body;
        EXPECT_EQ(reply.field("x-hearth-backend"), "two");
    }
    EXPECT_EQ(second.calls().size(), 6U);
}

TEST_F(TritonTest, DoctorSaysWhatIsRightAndWhatIsWrong) {
    const auto doctor = [&](const std::string& keys) {
        StartOptions with = options(keys);
        with.arguments.insert(with.arguments.begin(), "doctor");
        const Ended ended =
            run_cli({.arguments = with.arguments, .environment = with.environment, .input = {}});
        const std::size_t at = ended.output.find("backend");
        return ended.output.substr(std::min(at, ended.output.size()));
    };
    const std::string good = doctor(format("    tokenizer: {}\n", tokenizer()));
    EXPECT_TRUE(good.contains("5 models, answered in")) << good;
    EXPECT_FALSE(good.contains("; ")) << good;
    const std::string bare = doctor("");
    EXPECT_TRUE(bare.contains("bert: the model takes tokens; backends.box.tokenizer must")) << bare;
    EXPECT_FALSE(bare.contains("texts:")) << bare;
    const std::string wrong = doctor("    tokenizer: /nowhere\n");
    EXPECT_TRUE(wrong.contains("backends.box: tokenizer: /nowhere is neither")) << wrong;
    server_.be_ready(false);
    server_.refuse_index(true);
    const std::string named = doctor("    models: [texts]\n");
    EXPECT_TRUE(named.contains("1 models, answered in")) << named;
    EXPECT_TRUE(named.contains("it is not ready (status 400 of v2/health/ready)")) << named;
    const std::string unnamed = doctor("");
    EXPECT_TRUE(unnamed.contains("name them under backends.box.models")) << unnamed;
}

}  // namespace
}  // namespace hearth::system_test
