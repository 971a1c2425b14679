#include "backends/replicas/continuation.h"

#include <gtest/gtest.h>

#include <boost/asio/io_context.hpp>
#include <boost/json.hpp>

#include "testing/run.h"

namespace hearth::replicas {
namespace {

namespace json = boost::json;
using inference::GenerateRequest;
using inference::Operation;

class KeepingSink final : public inference::Sink {
  public:
    void begin(inference::Origin origin) override { backends.push_back(origin.backend); }
    Awaitable<Result<void>> push(json::object event) override {
        if (leaves) co_return fail(Code::Cancelled, "left");
        events.push_back(std::move(event));
        co_return Result<void>();
    }
    Awaitable<Result<void>> alive() override { co_return Result<void>(); }

    std::vector<std::string> backends;
    std::vector<json::object> events;
    bool leaves = false;
};

json::object delta(json::object said, const char* id = "one") {
    return {{"id", id}, {"model", id}, {"choices", {{{"index", 0}, {"delta", std::move(said)}}}}};
}
Error gone() { return {.code = Code::Unavailable, .message = "gone"}; }

class ContinuationTest : public ::testing::Test {
  protected:
    bool push(Continuation& so_far, json::object event) {
        return hearth::testing::run(io_, so_far.push(std::move(event))).has_value();
    }
    // Whether an answer that began so may be gone on with.
    bool goes_on_after(const std::vector<json::object>& events) {
        Continuation so_far(request_, sink_);
        (void)so_far.next_call();
        for (const json::object& event : events) EXPECT_TRUE(push(so_far, event));
        return so_far.may_go_on(gone());
    }

    boost::asio::io_context io_;
    GenerateRequest request_{
        .model = {},
        .operation = Operation::Chat,
        .body = {{"messages", {{{"role", "user"}, {"content", "hi"}}}}, {"max_tokens", 9}}};
    KeepingSink sink_;
};

TEST_F(ContinuationTest, TheRestIsAskedForAndTheCallerSeesOneAnswer) {
    Continuation so_far(request_, sink_);
    EXPECT_EQ(so_far.next_call().body, request_.body);
    so_far.begin({.model = "m", .backend = "first"});
    push(so_far, delta({{"role", "assistant"}, {"content", ""}}));
    push(so_far, delta({{"content", "It "}}));
    push(so_far, delta({{"content", "rai"}}));
    ASSERT_TRUE(so_far.may_go_on(gone()));
    const GenerateRequest rest = so_far.next_call();
    EXPECT_TRUE(rest.opens_answer);
    EXPECT_EQ(json::serialize(rest.body.at("messages")),
              R"([{"role":"user","content":"hi"},{"role":"assistant","content":"It rai"}])");
    EXPECT_EQ(rest.body.at("max_tokens").to_number<int>(), 7);
    so_far.begin({.model = "m", .backend = "second"});
    push(so_far, delta({{"role", "assistant"}, {"content", ""}}, "two"));
    push(so_far, delta({{"role", "assistant"}, {"content", "ns"}}, "two"));
    EXPECT_EQ(sink_.backends, std::vector<std::string>{"first"});
    ASSERT_EQ(sink_.events.size(), 4U) << "it is opened once";
    EXPECT_EQ(sink_.events.back(), delta({{"content", "ns"}})) << "with the first one's id";
    // And once more.
    ASSERT_TRUE(so_far.may_go_on({.code = Code::BadUpstream, .message = "later"}));
    EXPECT_EQ(so_far.next_call().body.at("messages").at(1).at("content"), "It rains");
    EXPECT_EQ(so_far.broken()->message, "gone") << "the first failure is told";
    EXPECT_EQ(so_far.continuations(), 2U);
}

json::object counts(int prompt, int completion) {
    return {{"prompt_tokens", prompt},
            {"completion_tokens", completion},
            {"total_tokens", prompt + completion}};
}

TEST_F(ContinuationTest, TheTokensToldAreThoseOfTheWholeAnswer) {
    Continuation so_far(request_, sink_);
    inference::Usage usage{.prompt_tokens = 12, .cached_tokens = 11, .completion_tokens = 3};
    so_far.make_whole(usage);
    EXPECT_EQ(usage.prompt_tokens, 12U) << "nothing broke off";
    (void)so_far.next_call();
    push(so_far, delta({{"content", "It "}}));
    push(so_far, delta({{"content", "rai"}}));
    ASSERT_TRUE(so_far.may_go_on(gone()));
    (void)so_far.next_call();
    push(so_far, delta({{"content", "ns"}}));
    push(so_far, {{"choices", json::array{}}, {"usage", counts(12, 3)}});
    EXPECT_EQ(sink_.events.back().at("usage"), counts(10, 5));
    so_far.make_whole(usage);
    EXPECT_EQ(usage.prompt_tokens, 10U);
    EXPECT_EQ(usage.completion_tokens, 5U);
    EXPECT_EQ(usage.cached_tokens, 10U) << "no more than the prompt has";
    json::object last{
        {"content", ""}, {"stop_type", "eos"}, {"tokens_evaluated", 12}, {"tokens_predicted", 3}};
    push(so_far, std::move(last));
    EXPECT_EQ(sink_.events.back().at("tokens_evaluated"), 10);
    EXPECT_EQ(sink_.events.back().at("tokens_predicted"), 5);
}

TEST_F(ContinuationTest, TheFirstServerKnowsThePromptBest) {
    Continuation so_far(request_, sink_);
    json::object first = delta({{"content", "It rai"}});
    first["usage"] = counts(9, 2);
    push(so_far, std::move(first));
    ASSERT_TRUE(so_far.may_go_on(gone()));
    (void)so_far.next_call();
    push(so_far, {{"choices", json::array{}}, {"usage", counts(12, 3)}});
    EXPECT_EQ(sink_.events.back().at("usage"), counts(9, 4));
}

TEST_F(ContinuationTest, WhatHasSaidNothingIsAskedAgainAsItWas) {
    Continuation so_far(request_, sink_);
    (void)so_far.next_call();
    EXPECT_FALSE(so_far.may_go_on(gone())) << "nothing was begun, nothing is broken";
    push(so_far, delta({{"role", "assistant"}}));
    EXPECT_TRUE(so_far.may_go_on(gone()));
    EXPECT_EQ(so_far.next_call().body, request_.body);
    EXPECT_EQ(so_far.continuations(), 0U);
}

TEST_F(ContinuationTest, OnlyTextIsContinued) {
    const json::object text = delta({{"content", "a"}});
    EXPECT_TRUE(goes_on_after({text}));
    EXPECT_FALSE(goes_on_after({text, delta({{"tool_calls", {{{"index", 0}}}}})}));
    EXPECT_FALSE(goes_on_after({delta({{"reasoning_content", "hm"}}), text}));
    json::object ended = text;
    ended["choices"].at(0).as_object()["finish_reason"] = "stop";
    EXPECT_FALSE(goes_on_after({ended}));
    json::object second = text;
    second["choices"].at(0).as_object()["index"] = 1;
    EXPECT_FALSE(goes_on_after({second}));
    EXPECT_FALSE(
        goes_on_after({delta({{"content", std::string(Continuation::kTextBytesMax + 1, 'x')}})}));
}

TEST_F(ContinuationTest, AnAnswerOfAFormOrOneOfSeveralIsNot) {
    const json::object text = delta({{"content", "a"}});
    const std::pair<const char*, json::value> kForms[] = {
        {"response_format", {{"type", "json_object"}}},
        {"json_schema", {{"type", "object"}}},
        {"grammar", "root ::= \"a\""},
        {"n", 2}};
    const json::object plain = request_.body;
    for (const auto& [name, value] : kForms) {
        request_.body = plain;
        request_.body[name] = value;
        EXPECT_FALSE(goes_on_after({text})) << name;
    }
    request_.body = plain;
    request_.body["response_format"] = {{"type", "text"}};
    request_.body["n"] = 1;
    EXPECT_TRUE(goes_on_after({text}));
}

TEST_F(ContinuationTest, WhatTheCallerOrTheCallIsToBlameForIsNot) {
    Continuation so_far(request_, sink_);
    push(so_far, delta({{"content", "a"}}));
    EXPECT_FALSE(so_far.may_go_on({.code = Code::InvalidArgument, .message = "no"}));
    EXPECT_FALSE(so_far.broken());
    sink_.leaves = true;
    EXPECT_FALSE(push(so_far, delta({{"content", "b"}})));
    EXPECT_FALSE(so_far.may_go_on(gone()));
}

TEST_F(ContinuationTest, BareTextsGrow) {
    struct Case {
        Operation operation;
        json::object body;
        json::object event;
        const char* grown;  // the member
    };
    const json::object choice{{"choices", {{{"index", 0}, {"text", "cd"}}}}};
    const json::object native{{"index", 0}, {"content", "cd"}, {"stop", false}};
    const Case cases[] = {{Operation::Completion, {{"prompt", "ab"}}, choice, "prompt"},
                          {Operation::Completion, {{"prompt", {"ab"}}}, choice, "prompt"},
                          {Operation::Native, {{"prompt", "ab"}}, native, "prompt"},
                          {Operation::Infill,
                           {{"input_prefix", "ab"}, {"input_suffix", "z"}},
                           native,
                           "input_prefix"}};
    for (const Case& one : cases) {
        request_ = {.model = {}, .operation = one.operation, .body = one.body};
        Continuation so_far(request_, sink_);
        push(so_far, one.event);
        ASSERT_TRUE(so_far.may_go_on(gone())) << one.grown;
        const GenerateRequest rest = so_far.next_call();
        EXPECT_EQ(rest.body.at(one.grown), "abcd");
        EXPECT_FALSE(rest.opens_answer);
    }
    request_ = {.model = {}, .operation = Operation::Completion, .body = {{"prompt", {1, 2}}}};
    EXPECT_FALSE(goes_on_after({choice})) << "ids have no text to grow";
}

}  // namespace
}  // namespace hearth::replicas
