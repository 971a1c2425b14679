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
    inference::Health probe() const override { return inference::Health::Ready; }

  private:
    Result<inference::EmbedReply> reply_;
};

struct Fixture {
    metrics::Registry registry;
    boost::asio::io_context io{1};

    Result<Served> embed(Result<inference::EmbedReply> reply, const std::string& model = "m") {
        const auto target = std::make_shared<const Target>(
            std::make_shared<ScriptedBackend>(std::move(reply)), ModelMetrics(registry, "m"));
        const Serve serve([&](std::string_view name) -> Result<std::shared_ptr<const Target>> {
            if (name == "m") return target;
            return fail(Code::NotFound, "no such model");
        });
        return runtime::run_blocking(io, serve.embed({.model = model, .inputs = {"text"}},
                                                     Deadline::after(std::chrono::seconds(1))));
    }
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

}  // namespace
}  // namespace hearth::pipeline
