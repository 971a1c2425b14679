#include "pipeline/kept_texts.h"

#include <gtest/gtest.h>

#include <boost/asio/io_context.hpp>
#include <set>

#include "pipeline/serve.h"
#include "runtime/blocking.h"

namespace hearth::pipeline {
namespace {

using inference::EmbedReply;
using inference::EmbedRequest;

float value_of(const inference::EmbedInput& input) {
    if (const auto* text = std::get_if<std::string>(&input))
        return static_cast<float>(text->size());
    return -static_cast<float>(std::get<inference::TokenIds>(input).size());
}

// A vector of a text holds its length; writes down what it is asked for.
class CountingBackend final : public inference::Backend {
  public:
    inference::BackendInfo info() const override { return {.name = "worker/m", .model = "m"}; }
    std::string identity() const override { return "weights"; }
    Awaitable<Result<EmbedReply>> embed(EmbedRequest request, Deadline) override {
        calls.push_back(request);
        if (failure) co_return fail(*failure);
        EmbedReply reply{.model = "m", .dimension = dimension};
        for (const auto& input : request.inputs) {
            reply.vectors.resize(reply.vectors.size() + dimension, value_of(input));
            reply.tokens.push_back(3);
        }
        reply.stands_in = stands_in;
        co_return reply;
    }
    Awaitable<Result<inference::RerankReply>> rerank(inference::RerankRequest request,
                                                     Deadline) override {
        ++reranks;
        co_return inference::RerankReply{
            .model = "m",
            .scores = std::vector<float>(request.documents.size(), 0.5F),
            .tokens = 9};
    }
    Awaitable<Result<inference::GenerateReply>> generate(const inference::GenerateRequest&,
                                                         inference::Sink&, Deadline) override {
        co_return fail(Code::Unsupported, "no");
    }
    Awaitable<Result<boost::json::object>> inquire(inference::InquiryRequest, Deadline) override {
        co_return fail(Code::Unsupported, "no");
    }
    Awaitable<Result<std::chrono::nanoseconds>> load(inference::LoadRequest, Deadline) override {
        co_return fail(Code::Unsupported, "no");
    }
    inference::Health probe() const override { return inference::Health::Ready; }

    std::vector<EmbedRequest> calls;
    std::size_t dimension = 4;
    std::optional<Error> failure;
    bool stands_in = false;
    int reranks = 0;
};

struct KeptTextsTest : testing::Test {
    metrics::Registry registry;
    boost::asio::io_context io{1};
    cache::Answers answers{{.memory_bytes_max = 1 << 20, .lives = {}}, registry};
    std::shared_ptr<CountingBackend> backend = std::make_shared<CountingBackend>();
    std::shared_ptr<const Target> target = std::make_shared<const Target>(
        backend, ModelMetrics(registry, "m"), RerankMetrics(registry, "m"),
        GenerateMetrics(registry, "m"), backend->identity());
    Serve serve{
        [this](std::string_view) -> Result<std::shared_ptr<const Target>> { return target; },
        &answers};

    Result<Served> ask(EmbedRequest request, Caller caller = {}) {
        request.model = "m";
        return runtime::run_blocking(
            io, serve.embed(std::move(request), caller, Deadline::after(std::chrono::seconds(1))));
    }
    Served embed(std::vector<std::string> texts, Caller caller = {}) {
        EmbedRequest request;
        for (auto& text : texts) request.inputs.emplace_back(std::move(text));
        auto served = ask(std::move(request), caller);
        EXPECT_TRUE(served) << served.error().message;
        return served ? *served : Served();
    }
    std::size_t made() const {
        std::size_t count = 0;
        for (const auto& call : backend->calls) count += call.inputs.size();
        return count;
    }
};

std::vector<float> firsts(const EmbedReply& reply) {
    std::vector<float> values;
    for (std::size_t i = 0; i < reply.tokens.size(); ++i) {
        values.push_back(reply.vectors[i * reply.dimension]);
    }
    return values;
}

TEST_F(KeptTextsTest, WhatIsKnownIsNotMadeAgain) {
    const Served first = embed({"a", "bb"});
    EXPECT_EQ(first.outcome, Outcome::Miss);
    const Served second = embed({"a", "bb"});
    EXPECT_EQ(second.outcome, Outcome::HitMemory);
    EXPECT_EQ(second.reply.vectors, first.reply.vectors);
    EXPECT_EQ(second.reply.tokens, first.reply.tokens);
    EXPECT_EQ(second.reply.dimension, 4U);
    EXPECT_EQ(second.reply.model, "m");
    EXPECT_EQ(second.backend, "worker/m");
    EXPECT_EQ(backend->calls.size(), 1U);
}

// F37: one text more made all of them anew there.
TEST_F(KeptTextsTest, OfAListOnlyTheNewTextsAreMade) {
    std::vector<std::string> known;
    for (std::size_t i = 1; i <= 90; ++i) known.emplace_back(i, 'x');
    embed(known);
    std::vector<std::string> all;
    std::vector<float> lengths;
    for (std::size_t i = 100; i >= 1; --i) {
        all.emplace_back(i, 'x');
        lengths.push_back(static_cast<float>(i));
    }
    const Served served = embed(all);
    EXPECT_EQ(served.outcome, Outcome::Miss);
    EXPECT_EQ(backend->calls.back().inputs.size(), 10U);
    EXPECT_EQ(firsts(served.reply), lengths);
    EXPECT_EQ(served.reply.tokens, std::vector<std::uint32_t>(100, 3));
    EXPECT_EQ(made(), 100U);
}

TEST_F(KeptTextsTest, ATextThatStandsInItTwiceIsMadeOnce) {
    const Served served = embed({"bb", "a", "bb", "a", "ccc"});
    EXPECT_EQ(made(), 3U);
    EXPECT_EQ(firsts(served.reply), (std::vector<float>{2, 1, 2, 1, 3}));
}

TEST_F(KeptTextsTest, WhateverChangesAVectorTellsItApart) {
    std::vector<EmbedRequest> requests(7);
    for (EmbedRequest& request : requests) request.inputs = {"text"};
    requests[1].dimensions = 2;
    requests[2].overflow = inference::Overflow::CutRight;
    requests[3].normalize = false;
    requests[4].prompt_name = "query";
    requests[5].inputs = {inference::TokenIds{1, 2}};
    requests[6].inputs = {inference::TokenIds{2, 1}};
    for (const EmbedRequest& request : requests) ASSERT_TRUE(ask(request));
    EXPECT_EQ(made(), requests.size());
    for (const EmbedRequest& request : requests) ASSERT_TRUE(ask(request));
    EXPECT_EQ(made(), requests.size());
}

TEST_F(KeptTextsTest, TenantsShareNothing) {
    embed({"a"}, {.tenant = "one", .cache = {}});
    embed({"a"}, {.tenant = "two", .cache = {}});
    EXPECT_EQ(made(), 2U);
    embed({"a"}, {.tenant = "two", .cache = {}});
    EXPECT_EQ(made(), 2U);
}

TEST_F(KeptTextsTest, DoesWhatTheCallerWishes) {
    using cache::Mode;
    const auto with = [](Mode mode) { return Caller{.tenant = {}, .cache = {.mode = mode}}; };
    EmbedRequest request;
    request.inputs = {"a"};
    const auto none = ask(request, with(Mode::Only));
    ASSERT_FALSE(none);
    EXPECT_EQ(none.error().code, Code::NotFound);
    EXPECT_EQ(none.error().reason, "not_cached");
    EXPECT_EQ(embed({"a"}, with(Mode::Off)).outcome, Outcome::Bypass);
    EXPECT_EQ(embed({"a"}).outcome, Outcome::Miss);
    EXPECT_EQ(embed({"a"}, with(Mode::Refresh)).outcome, Outcome::Miss);
    EXPECT_EQ(made(), 3U);
    EXPECT_EQ(embed({"a"}, with(Mode::Only)).outcome, Outcome::HitMemory);
    EXPECT_EQ(embed({"a"}, with(Mode::All)).outcome, Outcome::HitMemory);
    EXPECT_EQ(made(), 3U);
}

// Never: what failed, and what another model said in its place.
TEST_F(KeptTextsTest, KeepsOnlyAnswersOfTheModelItself) {
    backend->failure = Error{.code = Code::Unavailable, .message = "gone"};
    EmbedRequest request;
    request.inputs = {"a"};
    EXPECT_FALSE(ask(request));
    backend->failure.reset();
    backend->stands_in = true;
    embed({"a"});
    backend->stands_in = false;
    EXPECT_EQ(embed({"a"}).outcome, Outcome::Miss);
    EXPECT_EQ(embed({"a"}).outcome, Outcome::HitMemory);
}

// The backend names an input by its place in what it was given.
TEST_F(KeptTextsTest, WhatIsWrongWithAnInputIsSaidOfTheWholeCall) {
    embed({"a"});
    backend->failure = Error{.code = Code::InvalidArgument, .message = "too long"};
    EmbedRequest request;
    request.inputs = {"a", "bb"};
    EXPECT_EQ(ask(request).error().message, "too long");
    EXPECT_EQ(backend->calls.back().inputs.size(), 2U);
}

TEST_F(KeptTextsTest, TheTokensOfWhatIsKnownCountTowardsTheCap) {
    embed({"a", "bb"});
    EmbedRequest request;
    request.inputs = {"a", "bb", "ccc"};
    request.tokens_max = 10;
    ASSERT_TRUE(ask(request));
    EXPECT_EQ(backend->calls.back().tokens_max, 4U);
    request.inputs = {"a", "bb", "dddd"};
    request.tokens_max = 5;
    ASSERT_TRUE(ask(request));
    EXPECT_EQ(backend->calls.back().tokens_max, 1U);
}

TEST_F(KeptTextsTest, VectorsOfAnotherLengthAreNotMixed) {
    embed({"a"});
    backend->dimension = 8;
    const Served served = embed({"a", "bb"});
    EXPECT_EQ(served.reply.dimension, 8U);
    EXPECT_EQ(served.reply.vectors.size(), 16U);
}

TEST_F(KeptTextsTest, AClearIsForgetting) {
    embed({"a"});
    answers.clear({.space = cache::Space::Embedding});
    EXPECT_EQ(embed({"a"}).outcome, Outcome::Miss);
}

TEST_F(KeptTextsTest, ACallWithoutTextsGoesThrough) {
    EXPECT_EQ(embed({}).outcome, Outcome::Bypass);
    EXPECT_EQ(backend->calls.size(), 1U);
}

TEST_F(KeptTextsTest, ScoresOfDocumentsAreKeptToo) {
    const auto rerank = [&](inference::RerankRequest request) {
        request.model = "m";
        auto served = runtime::run_blocking(
            io, serve.rerank(std::move(request), {}, Deadline::after(std::chrono::seconds(1))));
        EXPECT_TRUE(served);
        return *served;
    };
    inference::RerankRequest request{.model = {}, .query = "q", .documents = {"a", "b"}};
    const Reranked first = rerank(request);
    EXPECT_EQ(first.outcome, Outcome::Miss);
    const Reranked second = rerank(request);
    EXPECT_EQ(second.outcome, Outcome::HitMemory);
    EXPECT_EQ(second.reply.scores, first.reply.scores);
    EXPECT_EQ(second.reply.tokens, 9U);
    EXPECT_EQ(second.reply.model, "m");
    for (int i = 0; i < 4; ++i) {
        inference::RerankRequest other = request;
        if (i == 0) other.query = "p";
        if (i == 1) other.documents = {"b", "a"};
        if (i == 2) other.raw_scores = true;
        if (i == 3) other.overflow = inference::Overflow::CutLeft;
        EXPECT_EQ(rerank(other).outcome, Outcome::Miss) << i;
    }
    EXPECT_EQ(backend->reranks, 5);
}

}  // namespace
}  // namespace hearth::pipeline
