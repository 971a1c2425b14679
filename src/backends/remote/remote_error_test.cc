#include "backends/remote/remote_error.h"

#include <gtest/gtest.h>

#include "backends/remote/wire_test_util.h"

namespace hearth::remote {
namespace {

using namespace std::chrono_literals;

Error error_for(int status, std::string_view body, const http::Headers& headers = {}) {
    return remote_error(status, headers, body);
}

TEST(RemoteError, CodesFollowTheStatusWhereNothingElseIsSaid) {
    const std::pair<int, Code> kStatuses[] = {
        {400, Code::InvalidArgument}, {422, Code::InvalidArgument}, {404, Code::BadUpstream},
        {405, Code::Unsupported},     {408, Code::Unavailable},     {413, Code::TooLarge},
        {429, Code::RateLimited},     {500, Code::BadUpstream},     {501, Code::Unsupported},
        {502, Code::Unavailable},     {503, Code::Unavailable},     {504, Code::Unavailable},
        {529, Code::Overloaded},      {302, Code::BadUpstream},     {402, Code::BadUpstream},
        {401, Code::BadUpstream},     {403, Code::BadUpstream}};
    for (const auto& [status, code] : kStatuses) {
        EXPECT_EQ(error_for(status, "").code, code) << status;
        EXPECT_FALSE(error_for(status, "").message.empty()) << status;
    }
}

TEST(RemoteError, CodesFollowTheTypeOfTheError) {
    const std::pair<const char*, Code> kTypes[] = {{"invalid_request_error", Code::InvalidArgument},
                                                   {"BadRequestError", Code::InvalidArgument},
                                                   {"request_too_large", Code::TooLarge},
                                                   {"rate_limit_error", Code::RateLimited},
                                                   {"overloaded_error", Code::Overloaded},
                                                   {"timeout_error", Code::Unavailable},
                                                   {"unavailable_error", Code::Unavailable},
                                                   {"not_supported_error", Code::Unsupported},
                                                   {"api_error", Code::BadUpstream},
                                                   {"server_error", Code::BadUpstream},
                                                   {"authentication_error", Code::BadUpstream},
                                                   {"permission_error", Code::BadUpstream},
                                                   {"billing_error", Code::BadUpstream},
                                                   {"a_word_of_tomorrow", Code::BadUpstream}};
    for (const auto& [type, code] : kTypes) {
        const json::object event{{"type", "error"}, {"error", {{"type", type}, {"message", "x"}}}};
        const auto told = told_in_stream(event);
        ASSERT_TRUE(told) << type;
        EXPECT_EQ(judge(*told).code, code) << type;
    }
    EXPECT_FALSE(told_in_stream({{"error", nullptr}, {"choices", json::array()}}));
}

TEST(RemoteError, RefusedCredentialsAreTheOperatorsAndNeverRepeated) {
    const char* kBodies[] = {
        R"({"error":{"message":"Incorrect API key provided: sk-proj-abcdef123456","type":"invalid_request_error","code":"invalid_api_key"}})",
        R"({"type":"error","error":{"type":"authentication_error","message":"invalid x-api-key sk-ant-abcdef123456"}})",
        R"({"error":"unauthorized sk-abcdef123456"})"};
    for (const char* body : kBodies) {
        const Error error = error_for(401, body);
        EXPECT_EQ(error.code, Code::BadUpstream);
        EXPECT_EQ(error.reason, "upstream_auth");
        EXPECT_FALSE(error.message.contains("abcdef")) << error.message;
    }
    EXPECT_EQ(error_for(403, "no").reason, "upstream_auth");
    EXPECT_EQ(error_for(400, kBodies[0]).reason, "upstream_auth");
}

TEST(RemoteError, AnAccountWithoutMeansIsNoRateLimit) {
    const Error error = error_for(
        429,
        R"({"error":{"message":"You exceeded your current quota","type":"insufficient_quota"}})",
        {{"retry-after", "3"}});
    EXPECT_EQ(error.code, Code::BadUpstream);
    EXPECT_EQ(error.reason, "upstream_quota");
    EXPECT_FALSE(error.retry_after);
}

TEST(RemoteError, AnOverflowIsKnownByManyNames) {
    struct Case {
        int status;
        const char* body;
        std::size_t amount;
        std::size_t limit;
    };
    const Case kCases[] = {
        {400,
         R"({"object":"error","message":"This model's maximum context length is 16384 tokens. However, you requested 122946 tokens (112946 in the messages, 10000 in the completion).","type":"BadRequestError","code":400})",
         122946, 16384},
        {400,
         R"({"error":{"message":"This model's maximum context length is 8192 tokens. However, your messages resulted in 9000 tokens.","type":"invalid_request_error","code":"context_length_exceeded"}})",
         9000, 8192},
        {400,
         R"({"error":{"code":400,"message":"x","type":"exceed_context_size_error","n_prompt_tokens":5000,"n_ctx":4096}})",
         5000, 4096},
        {400,
         R"({"type":"error","error":{"type":"invalid_request_error","message":"prompt is too long: 208310 tokens > 200000 maximum"}})",
         208310, 200000},
        {400,
         R"({"error":"request (5000 tokens) exceeds the available context size (4096 tokens), try increasing it"})",
         5000, 4096},
        {400,
         R"({"error":"the prompt has 5030 tokens and the model's context has room for 4096; shorten it"})",
         5030, 4096},
        {400, R"({"error":"input[1] has 302 tokens; this model takes at most 256"})", 302, 256},
        {400, R"({"error":"the input length exceeds the context length"})", 0, 0},
        {500, R"({"error":"input length exceeds maximum context length"})", 0, 0}};
    for (const Case& one : kCases) {
        const Error error = error_for(one.status, one.body);
        EXPECT_EQ(error.code, Code::InvalidArgument) << one.body;
        EXPECT_EQ(error.reason, "context_length_exceeded") << one.body;
        EXPECT_EQ(error.amount, one.amount) << one.body;
        EXPECT_EQ(error.limit, one.limit) << one.body;
    }
    const Error minute = error_for(
        429, R"({"error":{"message":"Rate limit: input exceeds the context window of a minute"}})");
    EXPECT_EQ(minute.code, Code::RateLimited);
}

TEST(RemoteError, AMissingModelIsNotAMissingRoute) {
    const std::pair<int, const char*> kMissing[] = {
        {404, R"({"error":"model 'llama9' not found"})"},
        {404,
         R"({"error":{"message":"The model `x` does not exist.","type":"NotFoundError","code":404}})"},
        {404, R"({"type":"error","error":{"type":"not_found_error","message":"model: claude-9"}})"},
        {400, R"({"error":"Request for unknown model: 'x' is not found"})"},
        {400, R"({"error":{"code":"model_not_found","message":"x"}})"}};
    for (const auto& [status, body] : kMissing) {
        const Error error = error_for(status, body);
        EXPECT_EQ(error.code, Code::NotFound) << body;
        EXPECT_EQ(error.reason, "model_not_found") << body;
    }
    EXPECT_EQ(error_for(404, R"({"detail":"Not Found"})").code, Code::BadUpstream);
    EXPECT_EQ(error_for(404, "<html>404</html>").message.find("html"), std::string::npos);
}

TEST(RemoteError, ABlindModelIsNoFailureOfItsServer) {
    for (
        const char* body :
        {R"({"error":{"code":500,"message":"image input is not supported - hint: mmproj","type":"server_error"}})",
         R"({"error":"this model is missing data required for image input"})"}) {
        const Error error = error_for(500, body);
        EXPECT_EQ(error.code, Code::Unsupported) << body;
        EXPECT_EQ(error.reason, "model_cannot_see");
    }
}

TEST(RemoteError, ABusyServerIsOverloaded) {
    EXPECT_EQ(
        error_for(
            503, R"({"error":"server busy, please try again.  maximum pending requests exceeded"})")
            .code,
        Code::Overloaded);
    EXPECT_EQ(
        error_for(503, R"({"error":{"message":"Loading model","type":"unavailable_error"}})").code,
        Code::Unavailable);
}

TEST(RemoteError, WhatIsWrongWithARequestReachesTheCaller) {
    const Error error = error_for(
        400,
        R"({"error":{"message":"top_p must be in (0, 1]","type":"BadRequestError","param":"top_p"}})");
    EXPECT_EQ(error.message, "top_p must be in (0, 1]");
    EXPECT_EQ(error.param, "top_p");
    const Error list = error_for(
        422,
        R"({"detail":[{"loc":["body","n"],"msg":"must be positive"},{"loc":["body","m"],"msg":"is missing"}]})");
    EXPECT_EQ(list.message, "n: must be positive; m: is missing");
    EXPECT_EQ(error_for(400, "plain text").message, "plain text");
}

TEST(RemoteError, RetryAfterIsSecondsOrADate) {
    const auto wait = [](const http::Headers& headers) {
        return error_for(429, "", headers).retry_after;
    };
    EXPECT_EQ(wait({{"retry-after", "30"}}), 30s);
    EXPECT_EQ(wait({{"Retry-After", " 1.5 "}}), 1500ms);
    EXPECT_EQ(wait({{"retry-after-ms", "250"}, {"retry-after", "9"}}), 250ms);
    EXPECT_EQ(wait({{"retry-after", "86400"}}), 24h);
    EXPECT_EQ(wait({{"retry-after", "86401"}}), 24h);
    EXPECT_EQ(wait({{"retry-after", "1e3"}}), std::nullopt);
    EXPECT_EQ(wait({{"retry-after", "-1"}}), std::nullopt);
    EXPECT_EQ(wait({{"retry-after", "soon"}}), std::nullopt);
    EXPECT_EQ(wait({}), std::nullopt);
    const char* kSent = "Sun, 06 Nov 1994 08:49:37 GMT";
    EXPECT_EQ(wait({{"date", kSent}, {"retry-after", "Sun, 06 Nov 1994 08:50:07 GMT"}}), 30s);
    EXPECT_EQ(wait({{"date", kSent}, {"retry-after", "Sun, 06 Nov 1994 08:49:00 GMT"}}), 0s);
    // Long past, by our own clock.
    EXPECT_EQ(wait({{"retry-after", kSent}}), 0s);
    EXPECT_FALSE(error_for(400, "", {{"retry-after", "30"}}).retry_after);
    EXPECT_EQ(error_for(503, "", {{"retry-after", "2"}}).retry_after, 2s);
    EXPECT_EQ(error_for(500, "", {{"retry-after", "3"}}).retry_after, 3s);
}

TEST(RemoteError, DatesAreReadExactly) {
    EXPECT_EQ(parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT"), 784'111'777);
    EXPECT_EQ(parse_http_date("Thu, 01 Jan 1970 00:00:00 GMT"), 0);
    for (const char* wrong : {"", "Sun, 06 Nov 1994 08:49:37 CET", "Sun, 31 Feb 1994 08:49:37 GMT",
                              "Sun, 06 Nov 1994 24:49:37 GMT", "Sun, 06 Nox 1994 08:49:37 GMT",
                              "Sun, 0x Nov 1994 08:49:37 GMT"}) {
        EXPECT_FALSE(parse_http_date(wrong)) << wrong;
    }
}

TEST(RemoteError, NoKeyIsShown) {
    EXPECT_EQ(shown("bad key sk-abcdefghij here"), "bad key [secret] here");
    EXPECT_EQ(shown("Authorization: Bearer 0123456789abcdef!"), "Authorization: Bearer [secret]!");
    EXPECT_EQ(shown("key=nvapi-0123456789"), "key=[secret]");
    EXPECT_EQ(shown("ask sk-8 for meta/llama-3.1-nemotron-nano-8b-v1-instruct"),
              "ask sk-8 for meta/llama-3.1-nemotron-nano-8b-v1-instruct");
    EXPECT_EQ(shown("a\nb\tc"), "a b c");
}

TEST(RemoteError, WhatIsShownIsShortAndWellFormed) {
    EXPECT_EQ(shown(std::string(500, 'x')), std::string(500, 'x'));
    EXPECT_EQ(shown(std::string(501, 'x')), std::string(500, 'x') + "...");
    EXPECT_EQ(shown("x" + std::string(499, 'y') + "ä"), "x" + std::string(499, 'y') + "...");
    std::string umlauts = "x";
    for (int i = 0; i < 300; ++i) umlauts += "ä";
    EXPECT_TRUE(shown(umlauts).ends_with("ä..."));
    EXPECT_EQ(shown("\xFF"), "\xEF\xBF\xBD");
}

}  // namespace
}  // namespace hearth::remote
