#include "backends/worker/llama_backend.h"

#include <gtest/gtest.h>
#include <signal.h>

#include <future>

#include "base/format.h"
#include "testing/served_llama.h"

// One GGUF model behind the real llama-server.
namespace hearth::worker {
namespace {

using namespace std::chrono_literals;
namespace json = boost::json;
using Clock = std::chrono::steady_clock;
using inference::GenerateReply;
using inference::GenerateRequest;
using inference::Inquiry;
using testing::can_run_llama;
using testing::chat;
using testing::eventually;
using testing::GgufKind;
using testing::llama_options;
using testing::RecordingSink;
using testing::Served;
using testing::TestGateway;

// One llama-server for all tests that leave it as they found it.
class LlamaBackendTest : public ::testing::Test {
  protected:
    static void SetUpTestSuite() {
        if (!can_run_llama()) return;
        gateway_ = new TestGateway;
        WorkerOptions options =
            llama_options(GgufKind::Text, {.name = "tiny", .context_trained = 4096});
        model_ = new Served(*gateway_, std::move(options));
    }
    static void TearDownTestSuite() {
        delete model_;
        delete gateway_;
        model_ = nullptr;
        gateway_ = nullptr;
    }
    void SetUp() override {
        if (!can_run_llama()) GTEST_SKIP() << "./dev setup has not built llama.cpp";
    }
    static Served& model() { return *model_; }

    static TestGateway* gateway_;
    static Served* model_;
};

TestGateway* LlamaBackendTest::gateway_ = nullptr;
Served* LlamaBackendTest::model_ = nullptr;

TEST_F(LlamaBackendTest, StreamsAChatAndCountsItsTokens) {
    RecordingSink sink;
    const auto reply = model().generate(chat("hello", 8), sink);
    ASSERT_TRUE(reply) << reply.error().message;
    EXPECT_GE(sink.count(), 9U);
    EXPECT_FALSE(sink.text().empty());
    EXPECT_EQ(reply->usage.completion_tokens, 8U);
    EXPECT_GT(reply->usage.prompt_tokens, 0U);
    EXPECT_TRUE(reply->usage.completion_time);
    RecordingSink again;
    EXPECT_TRUE(model().generate(chat("hello", 8), again));
    EXPECT_EQ(again.text(), sink.text());
    EXPECT_EQ(model().backend.info().name, "llama/tiny");
    EXPECT_EQ(model().backend.probe(), inference::Health::Ready);
}

TEST_F(LlamaBackendTest, IsNotAskedWhatItsBodyLacks) {
    RecordingSink sink;
    GenerateRequest request = chat("hello", 8);
    request.untranslatable = std::make_shared<const Error>(Error{.code = Code::Unsupported});
    EXPECT_EQ(model().generate(std::move(request), sink).error().code, Code::Unsupported);
    EXPECT_EQ(sink.count(), 0U);
}

TEST_F(LlamaBackendTest, PassesTheEnginesErrorsOnTyped) {
    RecordingSink sink;
    std::string text;
    for (int i = 0; i < 5'000; ++i) text += "word ";
    const auto over = model().generate(chat(text, 8), sink);
    ASSERT_FALSE(over);
    EXPECT_EQ(over.error().code, Code::InvalidArgument) << over.error().message;
    EXPECT_EQ(over.error().reason, "context_length_exceeded");
    EXPECT_GT(over.error().amount, 4'096U);
    EXPECT_EQ(over.error().limit, 4'096U);
    GenerateRequest wrong = chat("hello", 8);
    wrong.body["messages"] = "no list";
    const auto refused = model().generate(wrong, sink);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, Code::InvalidArgument) << refused.error().message;
    EXPECT_EQ(sink.count(), 0U);
    EXPECT_EQ(model().embed({.inputs = {"a"}}).error().reason, "model_cannot_embed");
}

TEST_F(LlamaBackendTest, FreesItsSlotWhenTheReaderLeaves) {
    RecordingSink sink(3);
    const auto reply = model().generate(chat("a long story", 4'000), sink);
    const auto left = Clock::now();
    ASSERT_FALSE(reply);
    EXPECT_EQ(reply.error().code, Code::Cancelled);
    EXPECT_TRUE(eventually([] { return model().processing() == 0; }));
    const auto took = Clock::now() - left;
    RecordProperty("ms", static_cast<int>(took / 1ms));
    EXPECT_LT(took, 500ms) << "the answer would take many seconds";
}

TEST_F(LlamaBackendTest, FreesItsSlotAtTheDeadline) {
    RecordingSink sink;
    const auto reply =
        model().wait(model().begin(chat("a longer story", 4'000), sink, 0, Deadline::after(200ms)));
    const auto left = Clock::now();
    ASSERT_FALSE(reply);
    EXPECT_EQ(reply.error().code, Code::DeadlineExceeded);
    EXPECT_TRUE(eventually([] { return model().processing() == 0; }));
    EXPECT_LT(Clock::now() - left, 500ms);
}

TEST_F(LlamaBackendTest, ServesMoreCallsThanMayBeInsideAtOnce) {
    constexpr int kCalls = 24;
    std::vector<RecordingSink> sinks(kCalls);
    std::vector<std::future<Result<GenerateReply>>> answers;
    for (int i = 0; i < kCalls; ++i) {
        answers.push_back(model().begin(chat(format("call {}", i), 4), sinks[i], i % 2));
    }
    std::size_t inside_max = 0;
    for (auto& answer : answers) {
        while (answer.wait_for(1ms) != std::future_status::ready) {
            inside_max = std::max(inside_max, model().supervisor.status().calls);
        }
        const auto reply = answer.get();
        EXPECT_TRUE(reply) << reply.error().message;
    }
    EXPECT_LE(inside_max, 4U);
    EXPECT_GE(inside_max, 2U);
}

TEST_F(LlamaBackendTest, AnswersQuestionsThatGenerateNothing) {
    const auto tokens = model().inquire(Inquiry::Tokenize, {{"content", "hello world"}});
    ASSERT_TRUE(tokens) << tokens.error().message;
    ASSERT_GE(tokens->at("tokens").as_array().size(), 2U);
    const auto text = model().inquire(Inquiry::Detokenize, {{"tokens", tokens->at("tokens")}});
    ASSERT_TRUE(text);
    EXPECT_EQ(text->at("content").as_string(), "hello world");
    // A connection that a GET left unclean would break the calls after it.
    for (int i = 0; i < 3; ++i) {
        const auto properties = model().inquire(Inquiry::Properties, {});
        ASSERT_TRUE(properties) << properties.error().message;
        EXPECT_TRUE(properties->contains("chat_template"));
    }
    const json::object message{{"role", "user"}, {"content", "hi"}};
    const auto prompt = model().inquire(Inquiry::ApplyTemplate, {{"messages", {message}}});
    ASSERT_TRUE(prompt);
    EXPECT_TRUE(std::string_view(prompt->at("prompt").as_string()).contains("hi"));
    // It calls that a fault of its own.
    const auto wrong = model().inquire(Inquiry::Detokenize, {{"tokens", "x"}});
    ASSERT_FALSE(wrong);
    EXPECT_EQ(wrong.error().code, Code::InvalidArgument);
    EXPECT_FALSE(wrong.error().message.empty());
}

TEST_F(LlamaBackendTest, MakesACallAgainWhenItsProcessDiesBeforeTheFirstEvent) {
    ASSERT_TRUE(model().load({}));
    const int pid = model().pid();
    ::kill(pid, SIGSTOP);
    RecordingSink sink;
    auto answer = model().begin(chat("again", 4), sink);
    EXPECT_TRUE(eventually([] { return model().supervisor.status().calls == 1; }));
    ::kill(pid, SIGKILL);
    const auto reply = model().wait(std::move(answer));
    ASSERT_TRUE(reply) << reply.error().message;
    EXPECT_EQ(reply->usage.completion_tokens, 4U);
    EXPECT_NE(model().pid(), pid);
}

TEST_F(LlamaBackendTest, SaysThatAnAnswerIsIncompleteAndRefusesWhoSawTwoDeaths) {
    const GenerateRequest request = chat("poison", 4'000);
    RecordingSink first;
    auto answer = model().begin(request, first);
    ASSERT_TRUE(eventually([&] { return first.count() > 0; }, 30s));
    ::kill(model().pid(), SIGKILL);
    const auto incomplete = model().wait(std::move(answer));
    ASSERT_FALSE(incomplete);
    EXPECT_EQ(incomplete.error().code, Code::Unavailable);
    EXPECT_EQ(incomplete.error().reason, "worker_died");
    RecordingSink second;
    answer = model().begin(request, second);
    ASSERT_TRUE(eventually([&] { return second.count() > 0; }, 30s));
    ::kill(model().pid(), SIGKILL);
    EXPECT_EQ(model().wait(std::move(answer)).error().reason, "poison_request");
    RecordingSink third;
    const auto refused = model().generate(request, third);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, Code::InvalidArgument);
    EXPECT_EQ(refused.error().reason, "poison_request");
    EXPECT_EQ(third.count(), 0U);
    RecordingSink other;
    EXPECT_TRUE(model().generate(chat("innocent", 4), other));
}

TEST_F(LlamaBackendTest, KillsAProcessThatHasGoneSilent) {
    RecordingSink sink;
    auto answer = model().begin(chat("silence", 4'000), sink);
    ASSERT_TRUE(eventually([&] { return sink.count() > 0; }, 30s));
    const int pid = model().pid();
    const auto stopped = Clock::now();
    ::kill(pid, SIGSTOP);
    const auto reply = model().wait(std::move(answer));
    const auto took = Clock::now() - stopped;
    ASSERT_FALSE(reply);
    EXPECT_EQ(reply.error().code, Code::Unavailable);
    EXPECT_EQ(reply.error().reason, "worker_died");
    EXPECT_GE(took, 500ms);
    EXPECT_LT(took, 5s);
    EXPECT_TRUE(testing::is_dead(pid));
}

}  // namespace
}  // namespace hearth::worker
