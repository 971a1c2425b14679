#include <gtest/gtest.h>
#include <signal.h>

#include <atomic>
#include <cmath>
#include <span>
#include <thread>

#include "backends/worker/memory_ledger.h"
#include "testing/served_llama.h"

// GGUF models behind real llama-servers: embedders, bad files, and who may have memory.
namespace hearth::worker {
namespace {

using namespace std::chrono_literals;
namespace json = boost::json;
using Clock = std::chrono::steady_clock;
using inference::Inquiry;
using inference::Overflow;
using testing::can_run_llama;
using testing::chat;
using testing::eventually;
using testing::GgufKind;
using testing::llama_options;
using testing::RecordingSink;
using testing::Served;
using testing::TestGateway;

const LlamaBackendOptions kEmbedder = {.embeds = true, .tokens_max = 512};

// Ready in a tenth of the time of those that generate.
WorkerOptions embedder_options(std::string name = "embedder") {
    return llama_options(GgufKind::Embedder,
                         {.name = std::move(name), .context_trained = 512, .embeds = true});
}

class LlamaModels : public ::testing::Test {
  protected:
    void SetUp() override {
        if (!can_run_llama()) GTEST_SKIP() << "./dev setup has not built llama.cpp";
    }

    TestGateway gateway_;
    runtime::Shards& shards_ = gateway_.shards;
};

double length(std::span<const float> row) {
    double squares = 0;
    for (const float value : row) squares += value * value;
    return std::sqrt(squares);
}

TEST_F(LlamaModels, AnEmbedderCutsCountsAndNormalises) {
    Served model(gateway_, embedder_options(), kEmbedder);
    const auto two = model.embed({.inputs = {"hello world", "something else"}});
    ASSERT_TRUE(two) << two.error().message;
    EXPECT_EQ(two->dimension, 64U);
    ASSERT_EQ(two->vectors.size(), 128U);
    EXPECT_EQ(two->tokens, (std::vector<std::uint32_t>{4, 4}));
    EXPECT_GT(two->load_time, 1ms);
    EXPECT_NEAR(length(std::span(two->vectors).first(64)), 1, 1e-4);

    const auto cut = model.embed({.inputs = {"hello world"}, .dimensions = 16});
    ASSERT_TRUE(cut);
    EXPECT_EQ(cut->dimension, 16U);
    EXPECT_NEAR(length(cut->vectors), 1, 1e-4);
    EXPECT_EQ(model.embed({.inputs = {"a"}, .dimensions = 65}).error().param, "dimensions");
    const auto raw = model.embed({.inputs = {"hello world"}, .normalize = false});
    ASSERT_TRUE(raw);
    const double raw_length = length(raw->vectors);
    EXPECT_GT(std::abs(raw_length - 1), 1e-3);
    for (std::size_t i = 0; i < 64; ++i) {
        EXPECT_NEAR(raw->vectors[i] / raw_length, two->vectors[i], 1e-3);
    }

    const auto ids = model.inquire(Inquiry::Tokenize, {{"content", "hello world"}});
    ASSERT_TRUE(ids);
    inference::TokenIds tokens;
    for (const auto& id : ids->at("tokens").as_array()) tokens.push_back(id.to_number<int>());
    const auto from_ids = model.embed({.inputs = {tokens}});
    ASSERT_TRUE(from_ids) << from_ids.error().message;
    EXPECT_EQ(from_ids->tokens, (std::vector<std::uint32_t>{4}));
    for (std::size_t i = 0; i < 64; ++i) {
        EXPECT_NEAR(from_ids->vectors[i], two->vectors[i], 1e-4);
    }
}

TEST_F(LlamaModels, AnEmbedderKeepsTheSideOfALongTextThatIsAskedFor) {
    Served model(gateway_, embedder_options(), kEmbedder);
    std::string text;
    for (int i = 0; i < 300; ++i) text += "left ";
    for (int i = 0; i < 300; ++i) text += "right ";
    const auto refused = model.embed({.inputs = {"short", text}});
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().reason, "context_length_exceeded");
    EXPECT_EQ(refused.error().param, "input[1]");
    const auto right = model.embed({.inputs = {text}, .overflow = Overflow::CutRight});
    const auto left = model.embed({.inputs = {text}, .overflow = Overflow::CutLeft});
    ASSERT_TRUE(right && left) << right.error().message;
    EXPECT_EQ(right->tokens, (std::vector<std::uint32_t>{512}));
    EXPECT_EQ(left->tokens, (std::vector<std::uint32_t>{512}));
    EXPECT_NE(right->vectors, left->vectors);
    EXPECT_EQ(model.embed({.inputs = {"a b c"}, .tokens_max = 4}).error().param, "input");
    EXPECT_TRUE(model.embed({.inputs = {"a b c"}, .tokens_max = 5}));
    RecordingSink sink;
    EXPECT_EQ(model.generate(chat("a", 1), sink).error().reason, "model_cannot_generate");
    EXPECT_TRUE(model.embed({.inputs = {"bye"}, .keep_alive = 0ms}));
    EXPECT_TRUE(model.becomes(WorkerState::Unloaded));
}

const LlamaBackendOptions kReranker = {.reranks = true, .tokens_max = 512};

WorkerOptions reranker_options(std::string name = "reranker") {
    return llama_options(GgufKind::Reranker,
                         {.name = std::move(name), .context_trained = 512, .reranks = true});
}

inference::RerankRequest rerank_request(std::vector<std::string> documents) {
    return {.query = "what is a panda?", .documents = std::move(documents)};
}

TEST_F(LlamaModels, ARerankerScoresEveryDocumentInItsOrder) {
    Served model(gateway_, reranker_options(), kReranker);
    const auto one = model.rerank(rerank_request({"a bear", "hello world"}));
    ASSERT_TRUE(one) << one.error().message;
    EXPECT_EQ(one->model, "reranker");
    ASSERT_EQ(one->scores.size(), 2U);
    EXPECT_NE(one->scores[0], one->scores[1]);
    // [CLS] what is a panda ? [SEP] a bear [SEP], and the same with the other.
    EXPECT_EQ(one->tokens, 20U);
    EXPECT_GT(one->load_time, 1ms);
    EXPECT_GT(one->compute_time, 0ms);
    const auto other = model.rerank(rerank_request({"hello world", "a bear"}));
    ASSERT_TRUE(other);
    EXPECT_NEAR(other->scores[0], one->scores[1], 1e-4);
    EXPECT_NEAR(other->scores[1], one->scores[0], 1e-4);
    inference::RerankRequest request = rerank_request({"a bear"});
    request.raw_scores = true;
    const auto raw = model.rerank(request);
    ASSERT_TRUE(raw);
    EXPECT_NEAR(1 / (1 + std::exp(-raw->scores[0])), one->scores[0], 1e-4);
    RecordingSink sink;
    EXPECT_EQ(model.generate(chat("a", 1), sink).error().reason, "model_cannot_generate");
    const auto vectors = model.embed({.inputs = {"a"}});
    ASSERT_FALSE(vectors);
    EXPECT_EQ(vectors.error().reason, "model_cannot_embed");
    EXPECT_EQ(vectors.error().message,
              "reranker reranks documents and makes no embeddings; ask /v1/rerank");
}

TEST_F(LlamaModels, ARerankerRefusesOrCutsWhatIsTooLong) {
    Served model(gateway_, reranker_options(), kReranker);
    std::string text;
    for (int i = 0; i < 400; ++i) text += "left ";
    for (int i = 0; i < 400; ++i) text += "right ";
    inference::RerankRequest request = rerank_request({"a bear", text});
    const auto refused = model.rerank(request);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, Code::InvalidArgument);
    EXPECT_EQ(refused.error().reason, "context_length_exceeded");
    EXPECT_EQ(refused.error().param, "documents[1]");
    EXPECT_TRUE(refused.error().message.contains("808 tokens")) << refused.error().message;
    request.overflow = Overflow::CutRight;
    const auto right = model.rerank(request);
    request.overflow = Overflow::CutLeft;
    const auto left = model.rerank(request);
    ASSERT_TRUE(right && left) << right.error().message << left.error().message;
    EXPECT_EQ(right->tokens, 10U + 512U);
    EXPECT_EQ(left->tokens, 10U + 512U);
    EXPECT_NE(right->scores[1], left->scores[1]);
    request.document_tokens_max = 20;
    const auto bounded = model.rerank(request);
    ASSERT_TRUE(bounded);
    EXPECT_EQ(bounded->tokens, 10U + 28U);
    inference::RerankRequest query{.query = text, .documents = {"a bear"}};
    EXPECT_EQ(model.rerank(query).error().param, "query");
    query.overflow = Overflow::CutRight;
    const auto cut = model.rerank(query);
    ASSERT_TRUE(cut) << cut.error().message;
    EXPECT_EQ(cut->tokens, 512U);
    query.keep_alive = 0ms;
    EXPECT_TRUE(model.rerank(query));
    EXPECT_TRUE(model.becomes(WorkerState::Unloaded));
}

TEST_F(LlamaModels, OnlyARerankerReranks) {
    Served embedder(gateway_, embedder_options(), kEmbedder);
    const auto refused = embedder.rerank(rerank_request({"a"}));
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, Code::InvalidArgument);
    EXPECT_EQ(refused.error().reason, "model_cannot_rerank");
    EXPECT_EQ(refused.error().message,
              "embedder makes embeddings and does not rerank; ask /v1/embeddings");
    EXPECT_EQ(embedder.supervisor.state(), WorkerState::Unloaded) << "loaded for nothing";
}

TEST_F(LlamaModels, ARerankingIsAskedForAgainWhenItsProcessDies) {
    Served model(gateway_, reranker_options(), kReranker);
    ASSERT_TRUE(model.rerank(rerank_request({"warm"})));
    const int pid = model.pid();
    ::kill(pid, SIGSTOP);
    auto answer = testing::start(
        shards_.io(0), model.backend.rerank(rerank_request({"a", "b"}), Deadline::after(30s)));
    EXPECT_TRUE(eventually([&] { return model.supervisor.status().calls == 1; }));
    ::kill(pid, SIGKILL);
    const auto reply = model.wait(std::move(answer));
    ASSERT_TRUE(reply) << reply.error().message;
    EXPECT_EQ(reply->scores.size(), 2U);
    EXPECT_NE(model.pid(), pid);
}

TEST_F(LlamaModels, AFileThatIsNoModelIsRefusedWithItsReason) {
    WorkerOptions options = llama_options(GgufKind::Text, {.name = "bad"});
    options.files = "/dev/null";
    Served model(gateway_, std::move(options));
    RecordingSink sink;
    const auto reply = model.generate(chat("a", 1), sink);
    ASSERT_FALSE(reply);
    EXPECT_EQ(reply.error().code, Code::Unavailable);
    EXPECT_EQ(reply.error().reason, "model_refused") << reply.error().message;
    EXPECT_NE(reply.error().message.find("error loading model"), std::string::npos)
        << reply.error().message;
}

TEST_F(LlamaModels, AModelLeavesMemoryWhenToldAndComesBackWithTheNextCall) {
    Served model(gateway_, embedder_options(), kEmbedder);
    const auto first = model.load({});
    ASSERT_TRUE(first);
    EXPECT_GT(*first, 1ms);
    const int pid = model.pid();
    ASSERT_TRUE(model.load({.keep_alive = 0ms}));
    EXPECT_TRUE(model.becomes(WorkerState::Unloaded));
    EXPECT_TRUE(testing::is_dead(pid));
    // Unloaded after the answer, not before it.
    const auto bye = model.embed({.inputs = {"bye"}, .keep_alive = 0ms});
    ASSERT_TRUE(bye);
    EXPECT_GT(bye->load_time, 1ms);
    EXPECT_TRUE(model.becomes(WorkerState::Unloaded));
}

TEST_F(LlamaModels, AQuestionIsAskedAgainWhenItsProcessDies) {
    Served model(gateway_, embedder_options(), kEmbedder);
    ASSERT_TRUE(model.load({}));
    const int pid = model.pid();
    ::kill(pid, SIGSTOP);
    auto answer = testing::start(
        shards_.io(0),
        model.backend.inquire({.inquiry = Inquiry::Tokenize, .body = {{"content", "a question"}}},
                              Deadline::after(30s)));
    EXPECT_TRUE(eventually([&] { return model.supervisor.status().calls == 1; }));
    ::kill(pid, SIGKILL);
    const auto reply = model.wait(std::move(answer));
    EXPECT_TRUE(reply) << reply.error().message;
    EXPECT_NE(model.pid(), pid);
}

Awaitable<Result<DeviceBytes>> fixed_estimate(std::uint64_t mib) {
    co_return DeviceBytes{{"host", mib * kMib}};
}

// Models of which the budget holds one.
class LlamaMemory : public LlamaModels {
  protected:
    WorkerOptions counted(WorkerOptions options, std::uint64_t mib) {
        options.ledger = &ledger_;
        options.memory_time = 20s;
        options.estimate_memory = [mib](boost::asio::io_context&) { return fixed_estimate(mib); };
        return options;
    }
    WorkerOptions small_options(std::uint64_t mib = 60) {
        return counted(embedder_options("small"), mib);
    }
    WorkerOptions story_options() {
        return counted(llama_options(GgufKind::Text, {.name = "story", .context_trained = 4096}),
                       60);
    }
    std::uint64_t used() const {
        std::uint64_t sum = 0;
        for (const auto& entry : ledger_.entries()) sum += sum_of(entry.bytes);
        return sum;
    }
    bool noted(std::string_view model, std::string_view what) const {
        for (const auto& event : ledger_.events()) {
            if (event.model == model && event.what.contains(what)) return true;
        }
        return false;
    }

    MemoryLedger ledger_{{{"host", 100 * kMib}}, 300ms};
};

TEST_F(LlamaMemory, ModelsTakeTurns) {
    Served small(gateway_, small_options(), kEmbedder);
    Served story(gateway_, story_options());
    std::atomic<bool> done = false;
    std::atomic<std::uint64_t> used_max = 0;
    std::thread watcher([&] {
        while (!done) {
            used_max = std::max(used_max.load(), used());
            std::this_thread::sleep_for(1ms);
        }
    });
    EXPECT_TRUE(small.embed({.inputs = {"one"}}));
    EXPECT_EQ(ledger_.evictions(), 0U);

    RecordingSink sink;
    auto telling = story.begin(chat("a story", 400), sink);
    EXPECT_TRUE(eventually([&] { return sink.count() > 0; }, 30s));
    EXPECT_EQ(ledger_.evictions(), 1U);
    EXPECT_TRUE(noted("small", "leaves for story: idle for"));
    EXPECT_EQ(small.supervisor.state(), WorkerState::Unloaded);

    // One in use finishes first.
    auto waits = testing::start(shards_.io(1),
                                small.backend.embed({.inputs = {"two"}}, Deadline::after(30s)));
    const auto told = story.wait(std::move(telling));
    ASSERT_TRUE(told) << told.error().message;
    EXPECT_EQ(told->usage.completion_tokens, 400U);
    const auto late = small.wait(std::move(waits));
    EXPECT_TRUE(late) << late.error().message;
    EXPECT_EQ(ledger_.evictions(), 2U);
    EXPECT_EQ(story.supervisor.state(), WorkerState::Unloaded);
    done = true;
    watcher.join();
    EXPECT_EQ(used_max, 60 * kMib);
}

TEST_F(LlamaMemory, ARerankerTakesItsTurnLikeAnyOther) {
    Served small(gateway_, small_options(), kEmbedder);
    Served reranker(gateway_, counted(reranker_options(), 60), kReranker);
    EXPECT_TRUE(small.embed({.inputs = {"one"}}));
    const auto reply = reranker.rerank(rerank_request({"a", "b"}));
    ASSERT_TRUE(reply) << reply.error().message;
    EXPECT_EQ(ledger_.evictions(), 1U);
    EXPECT_TRUE(noted("small", "leaves for reranker: idle for"));
    EXPECT_TRUE(small.embed({.inputs = {"two"}}));
    EXPECT_EQ(reranker.supervisor.state(), WorkerState::Unloaded);
    EXPECT_EQ(used(), 60 * kMib);
}

TEST_F(LlamaMemory, ALoadThatNobodyWaitsForAnyMoreIsGivenUp) {
    Served small(gateway_, small_options(), kEmbedder);
    Served story(gateway_, story_options());
    RecordingSink sink;
    auto telling = story.begin(chat("a story", 200), sink);
    ASSERT_TRUE(eventually([&] { return sink.count() > 0; }, 30s));
    const auto left = small.wait(testing::start(
        shards_.io(1), small.backend.embed({.inputs = {"impatient"}}, Deadline::after(50ms))));
    ASSERT_FALSE(left);
    EXPECT_EQ(left.error().code, Code::Unavailable);
    EXPECT_TRUE(small.becomes(WorkerState::Unloaded));
    EXPECT_TRUE(story.wait(std::move(telling)));
    EXPECT_EQ(story.supervisor.state(), WorkerState::Ready);
    EXPECT_EQ(ledger_.evictions(), 0U);
    ASSERT_EQ(ledger_.entries().size(), 1U);
    EXPECT_EQ(ledger_.entries()[0].model, "story");
}

TEST_F(LlamaMemory, ErrorsOfMemoryReachTheCallerTyped) {
    Served large(gateway_, small_options(101), kEmbedder);
    const auto refused = large.embed({.inputs = {"a"}});
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, Code::TooLarge);
    EXPECT_EQ(refused.error().reason, "model_too_large");

    auto held = testing::start(shards_.io(0),
                               ledger_.reserve({.model = "held", .need = {{"host", 90 * kMib}}},
                                               Deadline::after(1s), nullptr));
    auto grant = held.get();
    ASSERT_TRUE(grant);
    WorkerOptions options = small_options();
    options.memory_time = 50ms;
    Served small(gateway_, std::move(options), kEmbedder);
    const auto no_room = small.embed({.inputs = {"a"}});
    ASSERT_FALSE(no_room);
    EXPECT_EQ(no_room.error().code, Code::Unavailable);
    EXPECT_EQ(no_room.error().reason, "no_memory");
    EXPECT_TRUE(no_room.error().retry_after);
    *grant = MemoryLedger::Grant();
    EXPECT_TRUE(eventually([&] { return small.embed({.inputs = {"a"}}).has_value(); }));
}

TEST_F(LlamaMemory, ACrashedProcessHoldsItsMemoryUntilItIsGone) {
    Served model(gateway_, small_options(), kEmbedder);
    ASSERT_TRUE(model.load({}));
    const int pid = model.pid();
    ::kill(pid, SIGKILL);
    const auto gave_back = [&] { return ledger_.entries().empty() || model.pid() != pid; };
    EXPECT_TRUE(eventually(gave_back));
    EXPECT_TRUE(testing::is_dead(pid));
    EXPECT_TRUE(model.embed({.inputs = {"two"}}));
    EXPECT_NE(model.pid(), pid);
    EXPECT_EQ(ledger_.entries().size(), 1U);
}

}  // namespace
}  // namespace hearth::worker
