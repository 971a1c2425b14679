#include "pipeline/serve.h"

#include <gtest/gtest.h>

#include <boost/asio/io_context.hpp>

#include "runtime/blocking.h"

namespace hearth::pipeline {
namespace {

// Answers every request the same way.
class ScriptedBackend final : public inference::Backend {
  public:
    explicit ScriptedBackend(Result<inference::EmbedReply> reply) : reply_(std::move(reply)) {}
    inference::BackendInfo info() const override { return {.name = "scripted", .model = "m"}; }
    Awaitable<Result<inference::EmbedReply>> embed(inference::EmbedRequest, Deadline) override {
        co_return reply_;
    }
    Awaitable<Result<inference::RerankReply>> rerank(inference::RerankRequest request,
                                                     Deadline) override {
        if (!reply_) co_return fail(reply_.error());
        co_return inference::RerankReply{.model = "m",
                                         .scores = std::vector<float>(request.documents.size()),
                                         .tokens = 9,
                                         .compute_time = std::chrono::milliseconds(3)};
    }
    Awaitable<Result<inference::GenerateReply>> generate(const inference::GenerateRequest&,
                                                         inference::Sink& sink, Deadline) override {
        for (int i = 0; i < 3; ++i) CO_TRY_VOID(co_await sink.push({{"token", i}}));
        if (!reply_) co_return fail(reply_.error());
        co_return inference::GenerateReply{.usage = {.prompt_tokens = 5, .completion_tokens = 3},
                                           .load_time = {}};
    }
    Awaitable<Result<boost::json::object>> inquire(inference::InquiryRequest request,
                                                   Deadline) override {
        co_return request.body;
    }
    Awaitable<Result<std::chrono::nanoseconds>> load(inference::LoadRequest, Deadline) override {
        co_return std::chrono::nanoseconds(7);
    }
    inference::Health probe() const override { return inference::Health::Ready; }

  private:
    Result<inference::EmbedReply> reply_;
};

struct Fixture {
    metrics::Registry registry;
    boost::asio::io_context io{1};

    Serve make(Result<inference::EmbedReply> reply) {
        const auto target = std::make_shared<const Target>(
            std::make_shared<ScriptedBackend>(std::move(reply)), ModelMetrics(registry, "m"),
            RerankMetrics(registry, "m"), GenerateMetrics(registry, "m"));
        return Serve([target](std::string_view name) -> Result<std::shared_ptr<const Target>> {
            if (name == "m") return target;
            return fail(Code::NotFound, "no such model");
        });
    }
    Result<Served> embed(Result<inference::EmbedReply> reply, const std::string& model = "m") {
        const Serve serve = make(std::move(reply));
        return runtime::run_blocking(io,
                                     serve.embed({.model = model, .inputs = {"text"}}, {}, soon()));
    }
    Result<Reranked> rerank(Result<inference::EmbedReply> reply, const std::string& model = "m") {
        const Serve serve = make(std::move(reply));
        inference::RerankRequest request{.model = model, .query = "q", .documents = {"a", "b"}};
        return runtime::run_blocking(io, serve.rerank(std::move(request), {}, soon()));
    }
    Result<inference::GenerateReply> generate(Result<inference::EmbedReply> reply,
                                              inference::Sink& sink) {
        const Serve serve = make(std::move(reply));
        inference::GenerateRequest request;
        request.model = "m";
        return runtime::run_blocking(io, serve.generate(request, {}, sink, soon()));
    }
    static Deadline soon() { return Deadline::after(std::chrono::seconds(1)); }
};

// Keeps what it is given, and leaves after `events_max`.
class RecordingSink final : public inference::Sink {
  public:
    explicit RecordingSink(std::size_t events_max) : events_max_(events_max) {}
    void begin(inference::Origin origin) override { backend = origin.backend; }
    Awaitable<Result<void>> push(boost::json::object) override {
        if (events == events_max_) co_return fail(Code::Cancelled, "left");
        ++events;
        co_return Result<void>();
    }
    Awaitable<Result<void>> alive() override { co_return Result<void>(); }

    std::string backend;
    std::size_t events = 0;

  private:
    const std::size_t events_max_;
};

TEST(Serve, ReturnsTheAnswerWithBackendAndSteps) {
    Fixture fixture;
    const auto served = fixture.embed(inference::EmbedReply{.model = "m", .tokens = {3, 4}});
    ASSERT_TRUE(served);
    EXPECT_EQ(served->backend, "scripted");
    ASSERT_EQ(served->steps.size(), 4u);
    EXPECT_STREQ(served->steps[0].name, "route");
    EXPECT_NE(fixture.registry.expose().find("hearth_embedding_tokens_total{model=\"m\"} 7"),
              std::string::npos);
}

TEST(Serve, CountsAFailureOnceAndPassesItOn) {
    Fixture fixture;
    const auto served = fixture.embed(fail(Code::Overloaded, "queue full"));
    ASSERT_FALSE(served);
    EXPECT_EQ(served.error().code, Code::Overloaded);
    EXPECT_NE(fixture.registry.expose().find("outcome=\"error\"} 1"), std::string::npos);
}

TEST(Serve, AnUnknownModelReachesNoBackend) {
    Fixture fixture;
    const auto served = fixture.embed(inference::EmbedReply{}, "other");
    ASSERT_FALSE(served);
    EXPECT_EQ(served.error().code, Code::NotFound);
    EXPECT_NE(fixture.registry.expose().find("outcome=\"ok\"} 0"), std::string::npos);
}

TEST(Serve, ReranksWithItsStepsAndCountsDocumentsAndTokens) {
    Fixture fixture;
    const auto served = fixture.rerank(inference::EmbedReply{});
    ASSERT_TRUE(served) << served.error().message;
    EXPECT_EQ(served->backend, "scripted");
    EXPECT_EQ(served->reply.scores.size(), 2U);
    ASSERT_EQ(served->steps.size(), 3U);
    EXPECT_STREQ(served->steps[1].name, "compute");
    EXPECT_EQ(served->steps[1].time, std::chrono::milliseconds(3));
    const std::string exposed = fixture.registry.expose();
    EXPECT_TRUE(exposed.contains("hearth_rerank_documents_total{model=\"m\"} 2")) << exposed;
    EXPECT_TRUE(exposed.contains("hearth_rerank_tokens_total{model=\"m\"} 9")) << exposed;
    EXPECT_TRUE(
        exposed.contains(R"(hearth_requests_total{model="m",operation="rerank",outcome="ok"} 1)"));
}

TEST(Serve, CountsRerankingsThatFailAndThoseThatWereLeft) {
    Fixture fixture;
    EXPECT_EQ(fixture.rerank(fail(Code::Overloaded, "full")).error().code, Code::Overloaded);
    EXPECT_EQ(fixture.rerank(fail(Code::Cancelled, "left")).error().code, Code::Cancelled);
    EXPECT_EQ(fixture.rerank(inference::EmbedReply{}, "other").error().code, Code::NotFound);
    const std::string exposed = fixture.registry.expose();
    for (const char* outcome : {"error", "left"}) {
        EXPECT_TRUE(
            exposed.contains(std::string(R"(operation="rerank",outcome=")") + outcome + "\"} 1"))
            << exposed;
    }
    EXPECT_TRUE(exposed.contains(R"(operation="rerank",outcome="ok"} 0)")) << exposed;
}

TEST(Serve, GeneratesIntoTheSinkAndCountsTokens) {
    Fixture fixture;
    RecordingSink sink(10);
    const auto reply = fixture.generate(inference::EmbedReply{}, sink);
    ASSERT_TRUE(reply) << reply.error().message;
    EXPECT_EQ(sink.backend, "scripted");
    EXPECT_EQ(sink.events, 3U);
    const std::string exposed = fixture.registry.expose();
    EXPECT_TRUE(exposed.contains("hearth_completion_tokens_total{model=\"m\"} 3")) << exposed;
    EXPECT_TRUE(exposed.contains("hearth_prompt_tokens_total{model=\"m\"} 5")) << exposed;
    EXPECT_TRUE(exposed.contains("hearth_first_token_seconds_count{model=\"m\"} 1")) << exposed;
}

TEST(Serve, ACallerWhoLeavesIsNoFailureOfTheModel) {
    Fixture fixture;
    RecordingSink sink(1);
    const auto reply = fixture.generate(inference::EmbedReply{}, sink);
    ASSERT_FALSE(reply);
    EXPECT_EQ(reply.error().code, Code::Cancelled);
    EXPECT_TRUE(fixture.registry.expose().contains(
        R"(hearth_requests_total{model="m",operation="generate",outcome="left"} 1)"));
}

}  // namespace
}  // namespace hearth::pipeline
