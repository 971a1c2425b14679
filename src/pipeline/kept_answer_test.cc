#include "pipeline/kept_answer.h"

#include <gtest/gtest.h>

#include <boost/asio/io_context.hpp>
#include <boost/json.hpp>

#include "pipeline/serve.h"
#include "runtime/blocking.h"

namespace hearth::pipeline {
namespace {

namespace json = boost::json;
using inference::GenerateReply;
using inference::GenerateRequest;
using inference::Operation;

json::object parse(std::string_view text) { return json::parse(text).as_object(); }

json::object delta(std::string_view content) {
    return {{"choices",
             {{{"index", 0}, {"delta", {{"content", content}}}, {"finish_reason", nullptr}}}}};
}
json::object finish(std::string_view reason) {
    return {{"choices", {{{"index", 0}, {"delta", json::object()}, {"finish_reason", reason}}}}};
}

// Says the same events to every call.
class SayingBackend final : public inference::Backend {
  public:
    inference::BackendInfo info() const override { return {.name = "llama/m", .model = "m"}; }
    std::string identity() const override { return "weights"; }
    bool relays(inference::Dialect) const override { return speaks_all; }
    Awaitable<Result<inference::EmbedReply>> embed(inference::EmbedRequest, Deadline) override {
        co_return fail(Code::Unsupported, "no");
    }
    Awaitable<Result<inference::RerankReply>> rerank(inference::RerankRequest, Deadline) override {
        co_return fail(Code::Unsupported, "no");
    }
    Awaitable<Result<GenerateReply>> generate(const GenerateRequest& request, inference::Sink& sink,
                                              Deadline) override {
        ++calls;
        if (request.original != nullptr && sink.relays() && speaks_all) {
            for (const std::string& said : relayed) CO_TRY_VOID(co_await sink.relay(said, true));
            co_return GenerateReply{.usage = {.prompt_tokens = 5}};
        }
        for (const json::object& event : events) CO_TRY_VOID(co_await sink.push(event));
        if (failure) co_return fail(*failure);
        co_return GenerateReply{.usage = {.prompt_tokens = 5, .completion_tokens = 3},
                                .stands_in = stands_in};
    }
    Awaitable<Result<json::object>> inquire(inference::InquiryRequest, Deadline) override {
        co_return fail(Code::Unsupported, "no");
    }
    Awaitable<Result<std::chrono::nanoseconds>> load(inference::LoadRequest, Deadline) override {
        co_return fail(Code::Unsupported, "no");
    }
    inference::Health probe() const override { return inference::Health::Ready; }

    std::vector<json::object> events = {
        parse(
            R"({"choices":[{"index":0,"delta":{"role":"assistant","content":null},"finish_reason":null}]})"),
        delta("a"), delta("b"), delta("c"), finish("stop")};
    std::optional<Error> failure;
    bool stands_in = false;
    std::vector<std::string> relayed = {"data: one\n\n", "data: two\n\n"};
    bool speaks_all = false;
    int calls = 0;
};

class ListeningSink final : public inference::Sink {
  public:
    void begin(inference::Origin who) override { origin = std::move(who); }
    Awaitable<Result<void>> push(json::object event) override {
        events.push_back(std::move(event));
        co_return Result<void>();
    }
    Awaitable<Result<void>> alive() override { co_return Result<void>(); }
    bool relays() const override { return true; }
    Awaitable<Result<void>> relay(std::string_view bytes, bool) override {
        relayed += bytes;
        co_return Result<void>();
    }

    // What a reader puts together of it.
    std::string text() const {
        std::string text;
        for (const json::object& event : events) {
            const auto& choice = event.at("choices").at(0).as_object();
            if (const auto* own = choice.if_contains("text")) text += own->as_string();
            if (!choice.contains("delta")) continue;
            const auto* content = choice.at("delta").as_object().if_contains("content");
            if (content != nullptr && content->is_string()) text += content->as_string();
        }
        return text;
    }

    inference::Origin origin;
    std::vector<json::object> events;
    std::string relayed;
};

GenerateRequest chat(std::string_view body = R"({"messages":[],"temperature":0})") {
    GenerateRequest request;
    request.model = "m";
    request.body = parse(body);
    return request;
}

struct KeptAnswerTest : testing::Test {
    metrics::Registry registry;
    boost::asio::io_context io{1};
    cache::Answers answers{{.memory_bytes_max = 16 << 20, .lives = {}}, registry};
    std::shared_ptr<SayingBackend> backend = std::make_shared<SayingBackend>();
    std::shared_ptr<const Target> target = std::make_shared<const Target>(
        backend, ModelMetrics(registry, "m"), RerankMetrics(registry, "m"),
        GenerateMetrics(registry, "m"), backend->identity());
    Serve::Route route = [this](std::string_view) -> Result<std::shared_ptr<const Target>> {
        return target;
    };
    Serve serve{route, &answers};

    struct Said {
        Result<GenerateReply> reply;
        ListeningSink sink;
    };
    Said ask(const GenerateRequest& request, cache::Mode mode = cache::Mode::Auto,
             const Serve* by = nullptr) {
        Said said{.reply = fail(Code::Internal, ""), .sink = {}};
        said.reply = runtime::run_blocking(
            io, (by != nullptr ? *by : serve)
                    .generate(request, {.tenant = {}, .cache = {.mode = mode}}, said.sink,
                              Deadline::after(std::chrono::seconds(1))));
        return said;
    }
    Outcome outcome_of(const GenerateRequest& request, cache::Mode mode = cache::Mode::Auto) {
        return ask(request, mode).sink.origin.outcome;
    }
};

TEST_F(KeptAnswerTest, IsSaidAgainWithoutTheModel) {
    const Said first = ask(chat());
    EXPECT_EQ(first.sink.origin.outcome, Outcome::Miss);
    const Said second = ask(chat());
    EXPECT_EQ(second.sink.origin.outcome, Outcome::HitMemory);
    EXPECT_EQ(second.sink.origin.model, "m");
    EXPECT_EQ(second.sink.origin.backend, "llama/m");
    EXPECT_EQ(second.sink.text(), first.sink.text());
    EXPECT_EQ(second.sink.events.front(), first.sink.events.front());
    EXPECT_EQ(second.sink.events.back(), first.sink.events.back());
    ASSERT_TRUE(second.reply);
    EXPECT_EQ(second.reply->usage.prompt_tokens, 5U);
    EXPECT_EQ(second.reply->usage.completion_tokens, 3U);
    EXPECT_FALSE(second.reply->usage.reasoning_tokens);
    EXPECT_EQ(backend->calls, 1);
}

TEST_F(KeptAnswerTest, ByItselfKeepsWhatWouldComeOutTheSame) {
    constexpr std::string_view kSame[] = {R"({"temperature":0.0})", R"({"seed":1})",
                                          R"({"seed":0,"temperature":0.8})", R"({"top_k":1})"};
    constexpr std::string_view kOther[] = {R"({})",
                                           R"({"temperature":0.1})",
                                           R"({"seed":-1})",
                                           R"({"seed":4294967295})",
                                           R"({"seed":null})",
                                           R"({"temperature":"0"})",
                                           R"({"top_k":0})"};
    for (const auto body : kSame) EXPECT_EQ(outcome_of(chat(body)), Outcome::Miss) << body;
    for (const auto body : kSame) EXPECT_EQ(outcome_of(chat(body)), Outcome::HitMemory) << body;
    for (int i = 0; i < 2; ++i) {
        for (const auto body : kOther) EXPECT_EQ(outcome_of(chat(body)), Outcome::Bypass) << body;
    }
    EXPECT_EQ(outcome_of(chat("{}"), cache::Mode::All), Outcome::Miss);
    EXPECT_EQ(outcome_of(chat("{}"), cache::Mode::All), Outcome::HitMemory);
    EXPECT_EQ(outcome_of(chat("{}"), cache::Mode::Only), Outcome::HitMemory);
    EXPECT_EQ(outcome_of(chat("{}")), Outcome::Bypass);
    EXPECT_EQ(outcome_of(chat("{}"), cache::Mode::Refresh), Outcome::Miss);
    EXPECT_EQ(outcome_of(chat(), cache::Mode::Off), Outcome::Bypass);
}

TEST_F(KeptAnswerTest, AModelsConfigurationSpeaksForCallersWhoSayNothing) {
    const Serve all(route, &answers, [](std::string_view model) {
        return model == "m" ? cache::Mode::All : cache::Mode::Off;
    });
    EXPECT_EQ(ask(chat("{}"), cache::Mode::Auto, &all).sink.origin.outcome, Outcome::Miss);
    EXPECT_EQ(ask(chat("{}"), cache::Mode::Auto, &all).sink.origin.outcome, Outcome::HitMemory);
    EXPECT_EQ(ask(chat("{}"), cache::Mode::Off, &all).sink.origin.outcome, Outcome::Bypass);
    const Serve off(route, &answers, [](std::string_view) { return cache::Mode::Off; });
    EXPECT_EQ(ask(chat(), cache::Mode::Auto, &off).sink.origin.outcome, Outcome::Bypass);
    EXPECT_EQ(ask(chat(), cache::Mode::Refresh, &off).sink.origin.outcome, Outcome::Miss);
}

TEST_F(KeptAnswerTest, WhoWantsOnlyWhatIsKeptIsToldThatNothingIs) {
    const Said said = ask(chat(), cache::Mode::Only);
    ASSERT_FALSE(said.reply);
    EXPECT_EQ(said.reply.error().reason, "not_cached");
    EXPECT_EQ(backend->calls, 0);
}

// F37, F39: sampling, system prompt and history were no part of the key there.
TEST_F(KeptAnswerTest, WhateverChangesAnAnswerTellsItApart) {
    constexpr std::string_view kBodies[] = {
        R"({"temperature":0,"messages":[{"role":"user","content":"a"}]})",
        R"({"temperature":0,"messages":[{"role":"user","content":"b"}]})",
        R"({"temperature":0,"messages":[{"role":"system","content":"a"}]})",
        R"({"temperature":0,"messages":[{"role":"user","content":"x"},{"role":"user","content":"a"}]})",
        R"({"temperature":0,"messages":[{"role":"user","content":"a"}],"max_tokens":5})",
        R"({"temperature":0,"messages":[{"role":"user","content":"a"}],"seed":1})",
        R"({"temperature":0,"messages":[{"role":"user","content":"a"}],"tools":[]})",
        R"({"temperature":0,"messages":[{"role":"user","content":"a"}],"response_format":{"type":"json_object"}})"};
    std::vector<GenerateRequest> requests;
    for (const auto body : kBodies) requests.push_back(chat(body));
    requests.push_back(chat(kBodies[0]));
    requests.back().operation = Operation::Completion;
    requests.push_back(chat(kBodies[0]));
    requests.back().context_min = 4096;
    requests.push_back(chat(kBodies[0]));
    requests.back().opens_answer = true;
    for (const auto& request : requests) (void)ask(request);
    EXPECT_EQ(backend->calls, static_cast<int>(requests.size()));
    // Who asked changes nothing.
    (void)ask(chat(R"({"user":"me","temperature":0,"messages":[{"role":"user","content":"a"}]})"));
    EXPECT_EQ(backend->calls, static_cast<int>(requests.size()));
}

// F39: canned sentences were kept like a model's answers there.
TEST_F(KeptAnswerTest, NeverKeepsWhatIsNotTheModelsWholeAnswer) {
    const auto expect_not_kept = [&](std::string_view why) {
        (void)ask(chat());
        EXPECT_EQ(outcome_of(chat()), Outcome::Miss) << why;
    };
    backend->failure = Error{.code = Code::BadUpstream, .message = "broke off"};
    expect_not_kept("failed");
    backend->failure.reset();
    backend->stands_in = true;
    expect_not_kept("of another model");
    backend->stands_in = false;
    const auto whole = backend->events;
    backend->events.back() = finish("content_filter");
    expect_not_kept("filtered");
    backend->events.pop_back();
    expect_not_kept("without an end");
    backend->events = {};
    expect_not_kept("nothing at all");
    backend->events = {parse(
        R"({"choices":[{"index":0,"delta":{},"finish_reason":"stop"},{"index":1,"delta":{"content":"x"},"finish_reason":null}]})")};
    expect_not_kept("half of the choices");
    backend->events = {delta(std::string(KeepingSink::kBytesMax, 'x')), finish("stop")};
    expect_not_kept("too long");
    backend->events = whole;
    EXPECT_EQ(outcome_of(chat()), Outcome::Miss);
    EXPECT_EQ(outcome_of(chat()), Outcome::HitMemory);
}

// F37: empty answers counted as misses there.
TEST_F(KeptAnswerTest, AnEmptyAnswerIsAnAnswer) {
    backend->events = {finish("stop")};
    (void)ask(chat());
    EXPECT_EQ(outcome_of(chat()), Outcome::HitMemory);
}

// A server that speaks the caller's dialect answers in it, and what it said is said again as it
// was.
TEST_F(KeptAnswerTest, WhatIsRelayedIsKeptAsItWasWritten) {
    backend->speaks_all = true;
    GenerateRequest request = chat();
    request.original = std::make_shared<inference::Original>(inference::Original{.body = "{1}"});
    request.untranslatable = std::make_shared<const Error>();
    EXPECT_EQ(ask(request).sink.relayed, "data: one\n\ndata: two\n\n");
    const Said again = ask(request);
    EXPECT_EQ(again.sink.origin.outcome, Outcome::HitMemory);
    EXPECT_EQ(again.sink.relayed, "data: one\n\ndata: two\n\n");
    EXPECT_TRUE(again.sink.events.empty());
    EXPECT_EQ(again.reply->usage.prompt_tokens, 5U);
    EXPECT_EQ(backend->calls, 1);
    for (int i = 0; i < 4; ++i) {
        inference::Original original = *request.original;
        if (i == 0) original.body = "{2}";
        if (i == 1) original.stream = true;
        if (i == 2) original.dialect = inference::Dialect::OllamaChat;
        if (i == 3) original.headers.emplace_back("anthropic-beta", "x");
        GenerateRequest other = request;
        other.original = std::make_shared<inference::Original>(original);
        EXPECT_EQ(outcome_of(other), Outcome::Miss) << i;
    }
    // In no dialect's own words it is another answer, and of what cannot be translated none.
    request.original = nullptr;
    EXPECT_EQ(outcome_of(request), Outcome::Bypass);
    request.untranslatable = nullptr;
    EXPECT_EQ(outcome_of(request), Outcome::Miss);
}

TEST_F(KeptAnswerTest, WhatIsRelayedAndFilteredIsNotKept) {
    backend->speaks_all = true;
    GenerateRequest request = chat();
    request.original = std::make_shared<inference::Original>(inference::Original{.body = "{1}"});
    for (const char* said :
         {R"({"finish_reason":"content_filter"})", R"({"stop_reason":"refusal"})"}) {
        backend->relayed = {said};
        (void)ask(request);
        EXPECT_EQ(outcome_of(request), Outcome::Miss) << said;
    }
    backend->relayed = {std::string(KeepingSink::kBytesMax + 1, 'x')};
    (void)ask(request);
    EXPECT_EQ(outcome_of(request), Outcome::Miss);
    answers.clear({});
    backend->relayed = {std::string(1000, 'x'), std::string(1000, 'y')};
    (void)ask(request);
    EXPECT_EQ(outcome_of(request), Outcome::HitMemory);
}

// Many pieces of one text are kept as one, and nothing else is joined.
TEST_F(KeptAnswerTest, JoinsTheTextAndLosesNothing) {
    backend->events.insert(
        backend->events.begin() + 4,
        parse(
            R"({"choices":[{"index":0,"delta":{"content":"d"},"logprobs":{"content":[1]},"finish_reason":null}]})"));
    backend->events.insert(backend->events.begin() + 5, delta("e"));
    backend->events.insert(
        backend->events.begin() + 6,
        parse(
            R"({"choices":[{"index":0,"delta":{"reasoning_content":"f"},"finish_reason":null}]})"));
    backend->events.push_back(parse(R"({"choices":[],"usage":{"prompt_tokens":5}})"));
    (void)ask(chat());
    const Said said = ask(chat());
    ASSERT_EQ(said.sink.origin.outcome, Outcome::HitMemory);
    ASSERT_EQ(said.sink.events.size(), 7U);
    EXPECT_EQ(said.sink.events[1], delta("abc"));
    EXPECT_TRUE(said.sink.events[2].at("choices").at(0).as_object().contains("logprobs"));
    EXPECT_EQ(said.sink.events[3], delta("e"));
    EXPECT_EQ(said.sink.events.back(), backend->events.back());
}

TEST_F(KeptAnswerTest, OtherOperationsAreKeptToo) {
    GenerateRequest request = chat();
    request.operation = Operation::Completion;
    backend->events = {parse(R"({"choices":[{"index":0,"text":"a","finish_reason":null}]})"),
                       parse(R"({"choices":[{"index":0,"text":"b","finish_reason":"length"}]})")};
    (void)ask(request);
    EXPECT_EQ(ask(request).sink.text(), "ab");
    EXPECT_EQ(backend->calls, 1);
    request.operation = Operation::Native;
    backend->events = {parse(R"({"index":0,"content":"a","tokens":[1],"stop":false})"),
                       parse(R"({"index":0,"content":"","stop":true})")};
    (void)ask(request);
    const Said said = ask(request);
    EXPECT_EQ(said.sink.origin.outcome, Outcome::HitMemory);
    EXPECT_EQ(said.sink.events, backend->events);
}

TEST(KeptAnswerSpaceTest, TellsKindsOfCallsApart) {
    GenerateRequest request = chat(R"({"suffix":""})");
    EXPECT_EQ(space_of(request), cache::Space::Chat);
    request.operation = Operation::Completion;
    EXPECT_EQ(space_of(request), cache::Space::Completion);
    request.body["suffix"] = "}";
    EXPECT_EQ(space_of(request), cache::Space::Fim);
    request.body.erase("suffix");
    request.operation = Operation::Infill;
    EXPECT_EQ(space_of(request), cache::Space::Fim);
}

TEST(KeptAnswerReadTest, TakesNothingThatIsNoAnswer) {
    for (const char* payload : {"", "x", "[]", "{}", R"({"events":{}})", R"({"events":[1]})"}) {
        cache::Entry entry;
        entry.payload = payload;
        EXPECT_FALSE(KeptAnswer::read(entry)) << payload;
    }
}

}  // namespace
}  // namespace hearth::pipeline
