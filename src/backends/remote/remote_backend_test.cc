// A model of a server elsewhere, which is a script: what comes of every way in which it can answer.
#include "backends/remote/remote_backend.h"

#include "backends/remote/remote_backend_fixture.h"
#include "backends/remote/rerank_call.h"
#include "backends/remote/verbatim.h"

namespace hearth::remote {
namespace {

TEST_F(RemoteBackendTest, TranslatesACallAndItsAnswer) {
    options_.headers = {{"authorization", "Bearer secret"}};
    options_.url.base = "/api/v1";
    answers(std::string(kStreamHead) + kRole + kWord + kEnd);
    const auto reply = generate();
    ASSERT_TRUE(reply) << reply.error().message;
    EXPECT_EQ(reply->usage.prompt_tokens, 5U);
    EXPECT_TRUE(std::ranges::any_of(sink_.events, inference::says_something));
    EXPECT_TRUE(request().starts_with("POST /api/v1/chat/completions HTTP/1.1\r\n")) << request();
    EXPECT_TRUE(request().contains("authorization: Bearer secret\r\n")) << request();
    EXPECT_TRUE(request().contains(R"("model":"theirs")")) << request();
    EXPECT_EQ(counted("ok"), 1);
}

TEST_F(RemoteBackendTest, ItsCallersWordsTravelUnchangedAndSoDoItsOwn) {
    own_words(true);
    const std::string stream = kRole + ": comment\n\n" + kWord + kEnd;
    answers(std::string(kStreamHead) + stream);
    ASSERT_TRUE(generate(relaying_));
    EXPECT_EQ(relaying_.raw, stream);
    EXPECT_TRUE(request().ends_with(R"({"model":"theirs","zz":1,"stream":true,"messages":[]})"))
        << request();
}

TEST_F(RemoteBackendTest, WhatHasNoTranslationGoesAsItIsAlone) {
    answers(std::string(kStreamHead) + kRole + kWord + kEnd);
    own_words(true);
    request_.untranslatable = std::make_shared<const Error>(Error{.code = Code::Unsupported});
    EXPECT_TRUE(generate(relaying_));
    EXPECT_EQ(generate(sink_).error().code, Code::Unsupported);
    EXPECT_EQ(counted_requests(), 1U);
}

TEST_F(RemoteBackendTest, AWholeAnswerTravelsUnchangedToo) {
    own_words(false);
    const std::string body = R"({ "choices":[], "xx" : 1.50, "usage":{"prompt_tokens":7} })";
    answers(whole(200, body));
    const auto reply = generate(relaying_);
    ASSERT_TRUE(reply) << reply.error().message;
    EXPECT_EQ(relaying_.raw, body);
    EXPECT_EQ(reply->usage.prompt_tokens, 7U);
}

TEST_F(RemoteBackendTest, WhatFailsOnTheWayIsToldAndCounted) {
    struct Case {
        const char* what;
        std::string bytes;
        Code code;
    };
    const Case cases[] = {
        {"closed at once", "", Code::Unavailable},
        {"no HTTP", "hello\r\n\r\n", Code::BadUpstream},
        {"a page of another kind",
         "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 2\r\n\r\nhi",
         Code::BadUpstream},
        {"no terminator", std::string(kStreamHead) + kRole + kWord, Code::BadUpstream},
        {"half an event", std::string(kStreamHead) + kRole + kWord.substr(0, 40),
         Code::BadUpstream},
        {"a malformed event", std::string(kStreamHead) + kRole + "data: {nonsense\n\n" + kEnd,
         Code::BadUpstream},
        {"an error inside a 200",
         std::string(kStreamHead) + R"(data: {"error":{"message":"boom","code":500}})"
                                    "\n\n",
         Code::BadUpstream},
        {"500", whole(500, R"({"error":{"message":"boom"}})"), Code::BadUpstream},
    };
    for (const bool own : {false, true}) {
        request_.original = nullptr;
        if (own) own_words(true);
        for (const Case& one : cases) {
            backend_.reset();
            answers(one.bytes);
            const double before = counted("failed");
            KeepingSink sink(own);
            const auto reply = generate(sink);
            ASSERT_FALSE(reply) << one.what;
            EXPECT_EQ(reply.error().code, one.code) << one.what << ": " << reply.error().message;
            EXPECT_EQ(counted("failed"), before + 1) << one.what;
            EXPECT_FALSE(sink.raw.contains("[DONE]")) << one.what;
            EXPECT_TRUE(sink.raw.empty() || sink.raw.ends_with("\n\n")) << "whole events only";
        }
    }
}

TEST_F(RemoteBackendTest, AnErrorInsideAWholeAnswerIsAnError) {
    own_words(false);
    answers(whole(200, R"({"error":{"message":"boom","type":"server_error"}})"));
    const auto reply = generate(relaying_);
    ASSERT_FALSE(reply);
    EXPECT_TRUE(reply.error().message.contains("boom")) << reply.error().message;
    EXPECT_EQ(relaying_.raw, "");
}

TEST_F(RemoteBackendTest, ARefusalIsNoFailureOfTheServer) {
    answers(whole(400, R"({"error":{"message":"temperature is odd","param":"temperature"}})"));
    for (int i = 0; i < 4; ++i) {
        const auto reply = generate();
        ASSERT_FALSE(reply);
        EXPECT_EQ(reply.error().code, Code::InvalidArgument);
        EXPECT_TRUE(reply.error().message.contains("temperature is odd"));
    }
    EXPECT_EQ(counted("refused"), 4);
    EXPECT_EQ(backend().probe(), inference::Health::Ready);
}

TEST_F(RemoteBackendTest, WhoHasEnoughIsLeftAloneForAsLongAsItSays) {
    answers(whole(429, R"({"error":{"message":"slow down"}})", "Retry-After: 30\r\n"));
    EXPECT_EQ(generate().error().code, Code::RateLimited);
    EXPECT_EQ(backend().probe(), inference::Health::Down);
    const auto reply = generate();
    EXPECT_EQ(reply.error().reason, "upstream_paused");
    EXPECT_GT(*reply.error().retry_after, 25s);
    EXPECT_EQ(counted("limited"), 1);
    EXPECT_EQ(counted("held_back"), 1);
}

TEST_F(RemoteBackendTest, TheBreakerOpensAndClosesAgain) {
    options_.breaker = {.failures_max = 2, .open_time = 100ms};
    serve([](testing::RawSocket& socket, int number) {
        if (number >= 2) socket.send(std::string(kStreamHead) + kRole + kWord + kEnd);
    });
    EXPECT_EQ(generate().error().code, Code::Unavailable);
    EXPECT_EQ(generate().error().code, Code::Unavailable);
    EXPECT_EQ(generate().error().reason, "breaker_open");
    EXPECT_EQ(backend().probe(), inference::Health::Down);
    std::this_thread::sleep_for(150ms);
    EXPECT_TRUE(generate());
    EXPECT_EQ(backend().probe(), inference::Health::Ready);
}

TEST_F(RemoteBackendTest, ACallThatIsCancelledSaysNothingOfTheServer) {
    options_.breaker = {.failures_max = 2, .open_time = 20ms};
    serve([](testing::RawSocket& socket, int number) {
        if (number == 2) (void)socket.read_some(5'000ms);
    });
    EXPECT_EQ(generate().error().code, Code::Unavailable);
    EXPECT_EQ(generate().error().code, Code::Unavailable);
    std::this_thread::sleep_for(50ms);
    auto left = testing::start(
        shards_.io(0), with_deadline(Deadline::after(50ms),
                                     backend().generate(request_, sink_, Deadline::after(10s))));
    EXPECT_EQ(left.get().error().code, Code::DeadlineExceeded);
    EXPECT_EQ(counted("left"), 1);
    EXPECT_EQ(counted("refused"), 0);
    EXPECT_EQ(generate().error().code, Code::Unavailable);
    EXPECT_EQ(backend().probe(), inference::Health::Down) << "one failure on probation is enough";
}

TEST_F(RemoteBackendTest, SilenceHasABoundBeforeTheFirstTokenAndAfterIt) {
    options_.first_token_time = 80ms;
    options_.idle_time = 80ms;
    for (const std::string& begin : {kRole, kRole + kWord}) {
        backend_.reset();
        serve([begin](testing::RawSocket& socket, int) {
            socket.send(std::string(kStreamHead) + begin);
            (void)socket.read_some(5'000ms);
        });
        const auto reply = generate();
        ASSERT_FALSE(reply);
        EXPECT_EQ(reply.error().reason, begin == kRole ? "first_token_timeout" : "idle_timeout");
    }
}

TEST_F(RemoteBackendTest, WhatComesAfterTheEndOfAStreamIsNoMatterOfTheCallers) {
    const std::string stream = std::string(kStreamHead) + kRole + kWord + kEnd;
    const auto stalls = [stream](testing::RawSocket& socket, int) {
        socket.send(stream);
        (void)socket.read_some(20'000ms);
    };
    const auto goes_on = [stream](testing::RawSocket& socket, int) {
        for (bool taken = socket.send(stream); taken;) taken = socket.send(kWord);
    };
    const auto resets = [stream](testing::RawSocket& socket, int) {
        socket.send(stream);
        std::this_thread::sleep_for(50ms);
        const linger at_once{.l_onoff = 1, .l_linger = 0};
        ::setsockopt(socket.fd(), SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
        socket.close();
    };
    for (const bool own : {false, true}) {
        if (own) own_words(true);
        for (const auto& script :
             std::vector<std::function<void(testing::RawSocket&, int)>>{stalls, goes_on, resets}) {
            backend_.reset();
            serve(script);
            KeepingSink sink(own);
            const auto reply = generate(sink);
            ASSERT_TRUE(reply) << reply.error().message;
            EXPECT_EQ(reply->usage.completion_tokens, 1U);
            if (own) EXPECT_TRUE(sink.raw.ends_with("data: [DONE]\n\n")) << sink.raw;
        }
    }
    EXPECT_EQ(counted("ok"), 6);
}

TEST_F(RemoteBackendTest, AnEventOverTheBoundIsTheServersFault) {
    serve([](testing::RawSocket& socket, int) {
        socket.send(std::string(kStreamHead) + "data: {\"x\":\"");
        const std::string piece(1 << 20, 'x');
        for (int i = 0; i < 100 && socket.send(piece); ++i) {
        }
    });
    for (const bool own : {false, true}) {
        if (own) own_words(true);
        KeepingSink sink(own);
        const auto reply = generate(sink);
        ASSERT_FALSE(reply);
        EXPECT_EQ(reply.error().code, Code::BadUpstream);
        EXPECT_EQ(reply.error().reason, "event_too_large");
    }
    EXPECT_EQ(counted("failed"), 2);
}

TEST_F(RemoteBackendTest, TheLastLineOfOllamaMayLackItsEnd) {
    options_.kind = "ollama";
    const std::string head =
        "HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\nConnection: close\r\n\r\n";
    const std::string line = R"({"message":{"role":"assistant","content":"yes"},"done":true})";
    answers(head + line);
    request_.original = std::make_shared<inference::Original>(
        Dialect::OllamaChat, R"({"model":"ours","messages":[]})", true);
    ASSERT_TRUE(generate(relaying_));
    EXPECT_EQ(relaying_.raw, line + "\n");
    request_.original = nullptr;
    EXPECT_TRUE(generate());
    backend_.reset();
    answers(head + line.substr(0, 30));
    EXPECT_EQ(generate().error().reason, "stream_cut");
}

TEST_F(RemoteBackendTest, AServerThatHasMuchToDoIsAskedForItsModelsAllTheSame) {
    options_.concurrency = 1;
    options_.queue = 0;
    serve([](testing::RawSocket& socket, int number) {
        if (number == 0) {
            (void)socket.read_some(5'000ms);
        } else {
            socket.send(whole(200, R"({"object":"list","data":[{"id":"theirs"}]})"));
        }
    });
    auto busy = testing::start(shards_.io(0),
                               backend().generate(request_, sink_, Deadline::after(1'000ms)));
    while (counted_requests() == 0) std::this_thread::sleep_for(1ms);
    KeepingSink other(false);
    EXPECT_EQ(generate(other).error().reason, "queue_full");
    const auto listed =
        testing::start(shards_.io(0), upstream_->list_models(Deadline::after(limit_))).get();
    ASSERT_TRUE(listed) << listed.error().message;
    EXPECT_EQ(listed->size(), 1U);
    EXPECT_FALSE(busy.get());
}

TEST_F(RemoteBackendTest, NobodyThereIsUnavailable) {
    answers("");
    server_.reset();
    const auto reply = generate();
    ASSERT_FALSE(reply);
    EXPECT_EQ(reply.error().code, Code::Unavailable);
}

TEST_F(RemoteBackendTest, MakesEmbeddingsAndSaysWhatItCannot) {
    answers(whole(200, R"({"data":[{"index":0,"embedding":[3,4]}],"usage":{"prompt_tokens":2}})"));
    const auto reply =
        testing::start(shards_.io(0),
                       backend().embed({.model = "ours", .inputs = {"x"}}, Deadline::after(limit_)))
            .get();
    ASSERT_TRUE(reply) << reply.error().message;
    EXPECT_EQ(reply->dimension, 2U);
    EXPECT_FLOAT_EQ(reply->vectors[0], 0.6F);
    const auto asked =
        testing::start(shards_.io(0), backend().inquire({}, Deadline::after(limit_))).get();
    EXPECT_EQ(asked.error().code, Code::Unsupported);
}

TEST_F(RemoteBackendTest, Reranks) {
    answers(whole(200, R"({"results":[{"index":1,"relevance_score":0.9},)"
                       R"({"index":0,"relevance_score":0.2}],"usage":{"total_tokens":8}})"));
    const auto ranked =
        testing::start(shards_.io(0),
                       backend().rerank({.model = "ours", .query = "q", .documents = {"a", "b"}},
                                        Deadline::after(limit_)))
            .get();
    ASSERT_TRUE(ranked) << ranked.error().message;
    EXPECT_EQ(ranked->scores, (std::vector<float>{0.2F, 0.9F}));
    EXPECT_EQ(ranked->tokens, 8U);
    EXPECT_TRUE(request().starts_with("POST /v1/rerank HTTP/1.1\r\n")) << request();
}

TEST_F(RemoteBackendTest, OneScaleHoldsForAllScoresOfAModel) {
    serve([](testing::RawSocket& socket, int number) {
        const char* worse = number == 1 ? "-3" : "0.9";
        socket.send(whole(200, format(R"({{"results":[{{"index":0,"relevance_score":0.4}},)"
                                      R"({{"index":1,"relevance_score":{}}}]}})",
                                      worse)));
    });
    const auto rank = [this](RemoteBackend& one) {
        return testing::start(shards_.io(0),
                              one.rerank({.model = "ours", .query = "q", .documents = {"a", "b"}},
                                         Deadline::after(limit_)))
            .get()
            ->scores;
    };
    EXPECT_EQ(rank(backend()), (std::vector<float>{0.4F, 0.9F}));
    const auto logits = rank(backend());
    EXPECT_NEAR(logits[0], 0.599, 0.001);
    EXPECT_NEAR(logits[1], 0.047, 0.001);
    EXPECT_EQ(rank(backend())[0], logits[0]) << "it says the same beside any other";
    RemoteBackend another(upstream_, "another");
    EXPECT_EQ(rank(another)[0], 0.4F) << "of which nothing is known";
}

TEST(RerankCall, RefusesWhatIsNoRanking) {
    for (const char* body : {"x", "[]", R"({"results":[]})", R"({"results":[{"index":0}]})",
                             R"({"results":[{"index":1,"relevance_score":1}]})",
                             R"({"results":[{"index":0,"relevance_score":"1"}]})"}) {
        EXPECT_EQ(decode_rerank(body, 1).error().code, Code::BadUpstream) << body;
    }
    EXPECT_FALSE(decode_rerank(R"({"results":[{"index":0,"relevance_score":1},)"
                               R"({"index":0,"relevance_score":1}]})",
                               2))
        << "one is missing";
    EXPECT_EQ(
        encode_rerank({.query = "q", .documents = {"d"}, .raw_scores = true}, "m").error().code,
        Code::Unsupported);
}

TEST(Verbatim, KnowsWhoSpeaksWhat) {
    EXPECT_TRUE(speaks("openai", Dialect::OpenAiChat));
    EXPECT_TRUE(speaks("anthropic", Dialect::AnthropicMessages));
    EXPECT_TRUE(speaks("ollama", Dialect::OllamaGenerate));
    EXPECT_FALSE(speaks("ollama", Dialect::OpenAiChat));
    EXPECT_FALSE(speaks("triton", Dialect::OpenAiChat));
}

TEST_F(RemoteBackendTest, KnowsTheTokensOfAStreamThatIsNotToTellThem) {
    answers(std::string(kStreamHead) + kRole + kWord + kEnd);
    request_.original = std::make_shared<inference::Original>(
        Dialect::OpenAiChat,
        R"({"model":"ours","stream":true,"stream_options":{"zz":1},"messages":[]})", true,
        R"({"zz":1,"include_usage":true})");
    KeepingSink relaying(true);
    const auto reply = generate(relaying);
    ASSERT_TRUE(reply) << reply.error().message;
    EXPECT_EQ(reply->usage.prompt_tokens, 5U);
    EXPECT_EQ(reply->usage.completion_tokens, 1U);
    EXPECT_EQ(relaying.raw, kRole + kWord + chunk("{}", R"("stop")") + "data: [DONE]\n\n");
    EXPECT_TRUE(request().contains(R"("stream_options":{"zz":1,"include_usage":true})"))
        << request();
}

TEST(Verbatim, TheDialectsOwnFieldsTravelToo) {
    inference::Original original{.dialect = Dialect::AnthropicMessages, .body = "{}"};
    EXPECT_EQ(verbatim_call(original, "m").headers.find("anthropic-version"), "2023-06-01");
    original.headers = {{"anthropic-version", "2024-10-22"}, {"anthropic-beta", "a,b"}};
    const http::Call call = verbatim_call(original, "m");
    EXPECT_EQ(call.headers.find("anthropic-version"), "2024-10-22");
    EXPECT_EQ(call.headers.find("anthropic-beta"), "a,b");
    EXPECT_EQ(call.headers.all().size(), 3U) << "with the content's type";
}

TEST(Verbatim, KnowsAnEventOfTokensAlone) {
    EXPECT_TRUE(tells_only_usage("data: {\"choices\": [ ],\"usage\":{\"prompt_tokens\":1}}\n\n"));
    EXPECT_FALSE(tells_only_usage(
        "data: {\"choices\":[{\"index\":0}],\"usage\":{\"prompt_tokens\":1}}\n\n"));
    EXPECT_FALSE(tells_only_usage("data: {\"choices\":[]}\n\n")) << "it may be of another kind";
    EXPECT_FALSE(tells_only_usage("data: prompt_tokens\n\n"));
}

TEST(Verbatim, CountsTokensInEveryDialect) {
    const auto wire = make_openai_wire();
    const auto openai =
        check_whole(*wire, R"({"usage":{"prompt_tokens":3,"completion_tokens":2}})");
    EXPECT_EQ(openai->prompt_tokens, 3U);
    const auto ollama = check_whole(*wire, R"({"prompt_eval_count":4,"eval_count":6})");
    EXPECT_EQ(ollama->completion_tokens, 6U);
    const auto anthropic = check_whole(
        *wire, R"({"usage":{"input_tokens":5,"output_tokens":1,"cache_read_input_tokens":7,)"
               R"("cache_creation_input_tokens":3}})");
    EXPECT_EQ(anthropic->prompt_tokens, 15U);
    EXPECT_EQ(anthropic->cached_tokens, 7U);
    EXPECT_EQ(anthropic->cache_write_tokens, 3U);
    EXPECT_FALSE(check_whole(*wire, "[1]"));
    EXPECT_FALSE(check_whole(*wire, R"({"type":"error","error":{"message":"x"}})"));
}

}  // namespace
}  // namespace hearth::remote
