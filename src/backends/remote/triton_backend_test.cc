// Models of a server that speaks KServe's protocol, whose vectors tell what it was sent.
#include "backends/remote/triton_backend.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <boost/json.hpp>

#include "base/format.h"
#include "testing/kserve_server.h"
#include "testing/start.h"
#include "tokens/byte_tokenizer.h"

namespace hearth::remote {
namespace {

using inference::EmbedReply;
using inference::EmbedRequest;
using inference::GenerateRequest;
using inference::Operation;
using inference::Overflow;
using inference::TokenIds;
using kserve::Pooling;

class TextSink final : public inference::Sink {
  public:
    void begin(inference::Origin) override {}
    Awaitable<Result<void>> push(boost::json::object event) override {
        for (const auto& choice : event.at("choices").as_array()) {
            if (const auto* piece = choice.as_object().if_contains("text")) {
                text += piece->as_string();
            }
        }
        co_return Result<void>();
    }
    Awaitable<Result<void>> alive() override { co_return Result<void>(); }
    bool relays() const override { return false; }
    Awaitable<Result<void>> relay(std::string_view, bool) override { co_return Result<void>(); }
    std::string text;
};

class TritonBackendTest : public ::testing::Test {
  protected:
    TritonBackendTest() {
        shards_.start();
        models::EncoderConfig config;
        config.tokens_max = 16;
        options_.rules.tokens = std::make_shared<const TokenSource>(
            std::make_unique<tokens::ByteTokenizer>(), std::move(config));
    }
    ~TritonBackendTest() override {
        models_.reset();
        upstream_.reset();
        shards_.stop();
    }

    TritonModels& models() {
        if (!models_) {
            UpstreamOptions options;
            options.name = "box";
            options.kind = "triton";
            options.url.address = server_.address();
            upstream_ = std::make_shared<Upstream>(shards_, options, make_wire("triton"),
                                                   UpstreamMetrics(registry_, "box"));
            models_ = std::make_shared<TritonModels>(upstream_, options_);
        }
        return *models_;
    }
    Result<EmbedReply> embed(const std::string& model, EmbedRequest request) {
        models();
        TritonBackend backend(upstream_, models_, model);
        return testing::start(shards_.io(0), backend.embed(std::move(request), limit())).get();
    }
    Result<TritonModels::Listing> list(Deadline deadline = limit()) {
        return testing::start(shards_.io(0), models().list(deadline)).get();
    }
    static Deadline limit() { return Deadline::after(std::chrono::seconds(60)); }
    double counted(const std::string& outcome) {
        return registry_
            .counter("hearth_upstream_requests_total", "",
                     {{"upstream", "box"}, {"outcome", outcome}})
            .value();
    }
    static EmbedRequest as_they_are(std::vector<inference::EmbedInput> inputs) {
        return {.inputs = std::move(inputs), .normalize = false};
    }
    using Floats = std::vector<float>;

    testing::KserveServer server_;
    metrics::Registry registry_;
    runtime::Shards shards_{1};
    TritonOptions options_;
    std::shared_ptr<Upstream> upstream_;
    std::shared_ptr<TritonModels> models_;
};

TEST_F(TritonBackendTest, TokensArePooledAsTheRulesSay) {
    const auto ask = [&] { return embed("bert", as_they_are({"ab", "c"})); };
    const auto mean = ask();
    ASSERT_TRUE(mean) << mean.error().message;
    EXPECT_EQ(mean->dimension, 4U);
    EXPECT_EQ(mean->tokens, (std::vector<std::uint32_t>{4, 3}));
    const float c = (256 + 'c' + 257) / 3.0F;
    EXPECT_EQ(mean->vectors, (Floats{(256 + 'a' + 'b' + 257) / 4.0F, 2.5F, 0, 1, c, 2, 0, 1}));
    EXPECT_EQ(server_.calls().at(0).ids,
              (std::vector<std::int64_t>{256, 'a', 'b', 257, 256, 'c', 257, 0}));
    models_.reset();
    options_.rules.pooling = Pooling::First;
    EXPECT_EQ(ask()->vectors, (Floats{256, 1, 0, 1, 256, 1, 0, 1}));
    models_.reset();
    options_.rules.pooling = Pooling::Last;
    EXPECT_EQ(ask()->vectors, (Floats{257, 4, 0, 1, 257, 3, 0, 1}));
}

TEST_F(TritonBackendTest, VectorsGetLengthOneUnlessTheConfigurationSaysNo) {
    const auto squares = [&] {
        const auto reply = embed("bert", {.inputs = {"ab"}});
        double sum = 0;
        for (const double value : reply->vectors) sum += value * value;
        return sum;
    };
    EXPECT_NEAR(squares(), 1, 1e-5);
    models_.reset();
    options_.rules.normalize = false;
    EXPECT_GT(squares(), 1000);
}

TEST_F(TritonBackendTest, WhatIsMoreThanABatchGoesInSeveralAndKeepsItsOrder) {
    std::vector<inference::EmbedInput> texts;
    Floats expected;
    for (std::size_t i = 0; i < 8; ++i) {
        const std::string text(1 + i * 5 % 7, static_cast<char>('a' + i));
        float sum = 256 + 257;
        float weighted = 256.0F + 257.0F * float(text.size() + 2);
        for (std::size_t at = 0; at < text.size(); ++at) {
            sum += float(text[at]);
            weighted += float(text[at]) * float(at + 2);
        }
        expected.insert(expected.end(), {sum, weighted, float(text.size() + 2), 1});
        texts.emplace_back(text);
    }
    const auto reply = embed("narrow", as_they_are(std::move(texts)));
    ASSERT_TRUE(reply) << reply.error().message;
    EXPECT_EQ(reply->vectors, expected);
    const auto calls = server_.calls();
    ASSERT_EQ(calls.size(), 3U) << "three rows each, as its configuration says";
    EXPECT_EQ(calls[0].rows, 3U);
    EXPECT_EQ(calls[2].rows, 2U);
    EXPECT_GT(calls[0].length, calls[2].length) << "those of like length go together";
    EXPECT_EQ(counted("ok"), 5) << "with metadata and configuration";
}

TEST_F(TritonBackendTest, AModelThatTakesTextsGetsTexts) {
    options_.rules.tokens = nullptr;
    options_.rules.batch = 2;
    const auto reply = embed("texts", as_they_are({"hello", "", "a\nb\xC3\xA9"}));
    ASSERT_TRUE(reply) << reply.error().message;
    EXPECT_EQ(reply->vectors, (Floats{5, 'h', 'o', 1, 0, 0, 0, 1, 5, 'a', 0xA9, 1}));
    EXPECT_EQ(server_.calls().size(), 2U);
    const auto ids = embed("texts", as_they_are({TokenIds{1, 2}}));
    EXPECT_EQ(ids.error().code, Code::Unsupported);
    EXPECT_EQ(ids.error().param, "input[0]");
    EmbedRequest prompted{.inputs = {"a"}, .prompt_name = "query"};
    EXPECT_EQ(embed("texts", prompted).error().param, "prompt_name");
}

TEST_F(TritonBackendTest, ATextOverTheWindowIsRefusedOrCutBeforeItGoes) {
    const std::string over(15, 'x');
    EXPECT_TRUE(embed("bert", {.inputs = {over.substr(1)}}));
    const std::size_t before = server_.calls().size();
    const auto refused = embed("bert", {.inputs = {"a", over}});
    EXPECT_EQ(refused.error().reason, "context_length_exceeded");
    EXPECT_EQ(refused.error().param, "input[1]");
    EXPECT_EQ(server_.calls().size(), before);
    const auto cut = embed("bert", {.inputs = {over}, .overflow = Overflow::CutRight});
    ASSERT_TRUE(cut);
    EXPECT_EQ(cut->tokens, std::vector<std::uint32_t>{16});
    EXPECT_EQ(embed("bert", {.inputs = {"abc"}, .tokens_max = 4}).error().param, "input");
    models_.reset();
    options_.rules.window = 4;
    EXPECT_EQ(embed("bert", {.inputs = {"abc"}}).error().reason, "context_length_exceeded");
}

TEST_F(TritonBackendTest, ALargeTextIsTokenizedElsewhere) {
    options_.rules.window = 1 << 17;
    const auto reply = embed("narrow", as_they_are({std::string(100'000, 'x')}));
    ASSERT_TRUE(reply) << reply.error().message;
    EXPECT_EQ(reply->tokens, std::vector<std::uint32_t>{100'002});
    EXPECT_EQ(reply->vectors[2], 100'002);
}

TEST_F(TritonBackendTest, DimensionsAreCutAndBounded) {
    const auto cut = embed("bert", {.inputs = {"a"}, .dimensions = 2, .normalize = false});
    ASSERT_TRUE(cut);
    EXPECT_EQ(cut->dimension, 2U);
    EXPECT_EQ(embed("bert", {.inputs = {"a"}, .dimensions = 5}).error().param, "dimensions");
}

TEST_F(TritonBackendTest, WrongAnswersAreTheServersFault) {
    for (const char* fault : {"bad-output", "bad-type", "bad-shape", "bad-tail", "bad-nan"}) {
        server_.add_model(fault, fault);
        const auto reply = embed(fault, {.inputs = {"a"}});
        ASSERT_FALSE(reply) << fault;
        EXPECT_EQ(reply.error().code, Code::BadUpstream) << fault << reply.error().message;
    }
    EXPECT_EQ(counted("failed"), 5);
}

TEST_F(TritonBackendTest, AServerWhoseModelFailsAgainAndAgainIsLeftAlone) {
    server_.add_model("bad-500", "bad-500");
    bool is_left_alone = false;
    for (int i = 0; i < 20 && !is_left_alone; ++i) {
        is_left_alone = embed("bad-500", {.inputs = {"a"}}).error().reason == "breaker_open";
    }
    EXPECT_TRUE(is_left_alone);
}

TEST_F(TritonBackendTest, ErrorsKeepTheirMeaning) {
    server_.add_model("bad-400", "bad-400");
    const auto refused = embed("bad-400", {.inputs = {"a"}});
    EXPECT_EQ(refused.error().code, Code::InvalidArgument);
    EXPECT_TRUE(refused.error().message.contains("unexpected shape")) << refused.error().message;
    server_.add_model("bad-500", "bad-500");
    const auto failed = embed("bad-500", {.inputs = {"a"}});
    EXPECT_EQ(failed.error().code, Code::BadUpstream);
    EXPECT_TRUE(failed.error().message.contains("out of memory")) << failed.error().message;
    EXPECT_EQ(embed("nobody", {.inputs = {"a"}}).error().reason, "model_not_found");
}

TEST_F(TritonBackendTest, WhatAModelCannotDoIsUnsupported) {
    EXPECT_EQ(embed("pixels", {.inputs = {"a"}}).error().code, Code::Unsupported);
    EXPECT_EQ(embed("speak", {.inputs = {"a"}}).error().reason, "model_cannot_embed");
    models();
    TritonBackend bert(upstream_, models_, "bert");
    TextSink sink;
    GenerateRequest request{.model = {}, .operation = Operation::Completion, .body = {}};
    request.body = {{"prompt", "hi"}};
    const auto generated =
        testing::start(shards_.io(0), bert.generate(request, sink, limit())).get();
    EXPECT_EQ(generated.error().code, Code::Unsupported);
    EXPECT_EQ(generated.error().reason, "model_cannot_generate");
    EXPECT_EQ(testing::start(shards_.io(0), bert.rerank({}, limit())).get().error().code,
              Code::Unsupported);
    EXPECT_TRUE(server_.calls().empty());
}

TEST_F(TritonBackendTest, AModelThatTakesTokensNeedsATokenizer) {
    options_.rules.tokens = nullptr;
    const auto refused = embed("bert", {.inputs = {"a"}});
    EXPECT_EQ(refused.error().code, Code::Unsupported);
    EXPECT_EQ(refused.error().reason, "no_tokenizer");
    EXPECT_TRUE(refused.error().message.contains("backends.box.tokenizer"))
        << refused.error().message;
    EXPECT_TRUE(list()->problem.contains("bert: the model takes tokens")) << list()->problem;
}

TEST_F(TritonBackendTest, CompletesABareText) {
    models();
    TritonBackend speak(upstream_, models_, "speak");
    TextSink sink;
    GenerateRequest request{.model = {}, .operation = Operation::Completion, .body = {}};
    request.body = {{"prompt", "hi"}, {"max_tokens", 5}};
    const auto reply = testing::start(shards_.io(0), speak.generate(request, sink, limit())).get();
    ASSERT_TRUE(reply) << reply.error().message;
    EXPECT_EQ(sink.text, "You said: hi");
}

TEST_F(TritonBackendTest, ListsWhatEachModelCanDo) {
    const auto listing = list();
    ASSERT_TRUE(listing) << listing.error().message;
    EXPECT_EQ(listing->problem, "");
    ASSERT_EQ(listing->models.size(), 5U) << "each once, whatever its versions";
    std::map<std::string, std::vector<std::string>> can;
    for (const RemoteModel& model : listing->models) can[model.name] = model.capabilities;
    EXPECT_EQ(can["bert"], std::vector<std::string>{"embedding"});
    EXPECT_EQ(can["speak"], std::vector<std::string>{"completion"});
    EXPECT_TRUE(can["pixels"].empty());
    EXPECT_EQ(listing->models.front().context_length, 16U);
    const std::size_t before = server_.requests().size();
    EXPECT_TRUE(embed("bert", {.inputs = {"a"}}));
    EXPECT_EQ(server_.requests().size(), before + 1) << "its metadata is known";
}

TEST_F(TritonBackendTest, ManyModelsAreReadInSeveralListsAndTheServerIsNotToBlame) {
    using std::chrono::milliseconds;
    for (int i = 0; i < 40; ++i) server_.add_model(format("m{}", i), "bert");
    server_.be_slow(milliseconds(20));
    const auto described = [](const TritonModels::Listing& listing) {
        return std::ranges::count_if(
            listing.models, [](const RemoteModel& model) { return !model.capabilities.empty(); });
    };
    const auto first = list(Deadline::after(milliseconds(500)));
    ASSERT_TRUE(first) << first.error().message;
    EXPECT_TRUE(first->problem.contains("no time to ask about")) << first->problem;
    EXPECT_LT(described(*first), 40);
    EXPECT_EQ(upstream_->health(), inference::Health::Ready);
    EXPECT_LE(counted("failed"), 1) << "the one that was asked when the time was up";
    server_.be_slow(milliseconds(0));
    const auto before = static_cast<std::ptrdiff_t>(server_.requests().size());
    const auto second = list();
    EXPECT_EQ(described(*second), 44) << "all but the one that takes an image";
    const auto requests = server_.requests();
    const std::vector<std::string> later(requests.begin() + before, requests.end());
    for (const RemoteModel& model : first->models) {
        const bool again = std::ranges::any_of(later, [&](const std::string& request) {
            return (request + "/").starts_with(format("GET /v2/models/{}/", model.name));
        });
        EXPECT_EQ(again, model.capabilities.empty()) << model.name;
    }
}

TEST_F(TritonBackendTest, WhereNothingIsListedTheConfigurationNamesTheModels) {
    server_.refuse_index(true);
    const auto refused = list();
    EXPECT_EQ(refused.error().code, Code::Unsupported);
    EXPECT_TRUE(refused.error().message.contains("backends.box.models"));
    models_.reset();
    options_.named = {"narrow", "gone"};
    server_.be_ready(false);
    const auto listing = list();
    ASSERT_TRUE(listing) << listing.error().message;
    ASSERT_EQ(listing->models.size(), 2U);
    EXPECT_EQ(listing->models[0].capabilities, std::vector<std::string>{"embedding"});
    EXPECT_TRUE(listing->problem.contains("not ready")) << listing->problem;
    EXPECT_TRUE(listing->problem.contains("gone: box does not have")) << listing->problem;
}

TEST_F(TritonBackendTest, AModelThatHasChangedIsReadAgainAfterOneFailure) {
    server_.add_model("m", "bert");
    EXPECT_TRUE(embed("m", {.inputs = {"a"}}));
    server_.add_model("m", "narrow");
    EXPECT_EQ(embed("m", {.inputs = {"a"}}).error().code, Code::InvalidArgument);
    EXPECT_TRUE(embed("m", {.inputs = {"a"}}));
}

}  // namespace
}  // namespace hearth::remote
