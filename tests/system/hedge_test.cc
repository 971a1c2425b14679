// A server that says nothing is overtaken by another of the same model, in every dialect, and its
// connection is closed.
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>

#include "base/format.h"
#include "http_probe.h"
#include "matrix_dialects.h"
#include "matrix_upstream.h"
#include "server_process.h"
#include "testing/raw_socket.h"

namespace hearth::system_test {
namespace {

using matrix::Dialect;
using matrix::ScriptedUpstream;
using matrix::Sort;
using std::chrono::seconds;

class HedgedTest : public ::testing::Test {
  protected:
    void start(std::string_view routing) {
        std::ofstream(folder_ / "hearth.yaml") << format(
            "routing: {{find_ollama: false, {}}}\n"
            "backends:\n"
            "  one: {{kind: openai, url: \"http://{}\"}}\n"
            "  two: {{kind: openai, url: \"http://{}\"}}\n",
            routing, one_.address(), two_.address());
        gateway_ = std::make_unique<ServerProcess>(StartOptions{
            .arguments = {"--config", (folder_ / "hearth.yaml").string()},
            .environment = {"HEARTH_MODELS__INSTALLED=false", "HEARTH_MODELS__OLLAMA_STORE=false",
                            "HEARTH_MODELS__HUB_CACHE=false"}});
    }
    ~HedgedTest() override {
        gateway_.reset();
        std::filesystem::remove_all(folder_);
    }

    static const Dialect& dialect(std::string_view route) {
        return *std::ranges::find(matrix::dialects(), route, &Dialect::route);
    }
    void ask(std::string_view route, bool stream) const {
        SCOPED_TRACE(format("{}, {}", route, stream ? "a stream" : "whole"));
        const Dialect& words = dialect(route);
        const std::string model(matrix::kModel);
        const Reply reply = post(gateway_->address(), route,
                                 matrix::body_of(words, {.model = model, .stream = stream}));
        ASSERT_EQ(reply.status, 200) << reply.body;
        EXPECT_EQ(reply.field("x-hearth-backend"), "two");
        if (words.sort == Sort::Embed || words.sort == Sort::Rerank) return;
        const auto answer = matrix::read_answer(words.form, reply, stream);
        EXPECT_TRUE(answer.ended);
        EXPECT_FALSE(answer.failed);
        EXPECT_EQ(answer.text, matrix::kSaid);
    }
    double counted(std::string_view name) const { return metric(gateway_->address(), name); }
    double left(std::string_view upstream) const {
        return counted(format(R"(hearth_upstream_requests_total{{outcome="left",upstream="{}"}})",
                              upstream)) +
               counted(format(R"(hearth_upstream_requests_total{{upstream="{}",outcome="left"}})",
                              upstream));
    }

    const std::filesystem::path folder_ = make_folder();
    ScriptedUpstream one_{"openai"};
    ScriptedUpstream two_{"openai"};
    std::unique_ptr<ServerProcess> gateway_;
};

TEST_F(HedgedTest, TheQuickServerAnswersAndTheSilentOneIsLeft) {
    start("hedge_after: 100ms");
    one_.play(matrix::Scene::IsSilent);
    for (int round = 0; round < 2; ++round) {
        ask("/v1/chat/completions", true);
        ask("/v1/chat/completions", false);
        ask("/v1/messages", true);
        ask("/api/chat", false);
        ask("/v1/embeddings", false);
        ask("/v1/rerank", false);
    }
    EXPECT_EQ(two_.calls(), 12) << "every call";
    EXPECT_EQ(one_.calls(), 6) << "it has its turns: who is overtaken has not failed";
    EXPECT_TRUE(eventually(seconds(20), [&] { return one_.left() == one_.calls(); }))
        << one_.left() << " of " << one_.calls() << " connections closed";
    EXPECT_EQ(counted("hearth_upstream_hedges_total"), one_.calls());
    EXPECT_EQ(counted("hearth_upstream_hedges_won_total"), one_.calls());
    EXPECT_EQ(counted("hearth_upstream_failovers_total"), 0);
    EXPECT_EQ(left("one"), one_.calls()) << get(gateway_->address(), "/metrics").body;
}

TEST_F(HedgedTest, ACallerWhoLeavesIsLeftByBoth) {
    start("hedge_after: 100ms");
    one_.play(matrix::Scene::IsSilent);
    two_.play(matrix::Scene::IsSilent);
    auto socket = testing::RawSocket::connect(gateway_->address());
    const std::string body = matrix::body_of(
        dialect("/v1/chat/completions"), {.model = std::string(matrix::kModel), .stream = true});
    socket.send(
        format("POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n"
               "{}",
               body.size(), body));
    ASSERT_TRUE(eventually(seconds(20), [&] { return one_.calls() == 1 && two_.calls() == 1; }));
    EXPECT_EQ(one_.left() + two_.left(), 0);
    socket.close();
    EXPECT_TRUE(eventually(seconds(20), [&] { return one_.left() == 1 && two_.left() == 1; }));
    EXPECT_TRUE(eventually(seconds(20), [&] { return left("one") == 1 && left("two") == 1; }))
        << get(gateway_->address(), "/metrics").body;
    EXPECT_EQ(counted("hearth_upstream_hedges_won_total"), 0);
}

TEST_F(HedgedTest, AnAnswerMayBothBeHedgedAndContinued) {
    start("hedge_after: 100ms, continue_answers: true");
    one_.play(matrix::Scene::IsSilent);
    for (int round = 0; round < 4; ++round) ask("/v1/chat/completions", true);
    EXPECT_GE(one_.calls(), 1);
    EXPECT_EQ(counted("hearth_upstream_hedges_won_total"), one_.calls());
    EXPECT_EQ(counted("hearth_upstream_continuations_total"), 0);
}

}  // namespace
}  // namespace hearth::system_test
