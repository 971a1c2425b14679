#include "api/anthropic.h"

#include <gtest/gtest.h>

#include <boost/json.hpp>

#include "api/testing.h"

namespace hearth::api::anthropic {
namespace {

namespace json = boost::json;

// Its clients send everything from 500 on again, and 408, 409 and 429.
bool is_sent_again(int status) { return status == 429 || status >= 500; }

TEST(Anthropic, HasItsClientsRepeatOnlyWhatTimeCanMend) {
    for (const Code code : kAllCodes) {
        const Reply reply = encode_error({.code = code, .message = "x"}, "req_1");
        const bool mends = code == Code::RateLimited || code == Code::Overloaded ||
                           code == Code::DeadlineExceeded || code == Code::Unavailable ||
                           code == Code::BadUpstream || code == Code::Internal;
        EXPECT_EQ(is_sent_again(reply.status), mends) << to_string(code);
        const json::value body = json::parse(reply.body);
        EXPECT_EQ(body.at("type"), json::value("error"));
        EXPECT_EQ(body.at("request_id"), json::value("req_1"));
        EXPECT_EQ(body.at("error").at("message"), json::value("x"));
    }
}

TEST(Anthropic, SaysHowLongToWaitWhereWaitingHelps) {
    const auto wait = [](Code code, std::optional<std::chrono::milliseconds> after) {
        return encode_error({.code = code, .message = "x", .retry_after = after}, "").retry_after;
    };
    using std::chrono::milliseconds;
    using std::chrono::seconds;
    EXPECT_EQ(wait(Code::Overloaded, milliseconds(2100)), seconds(3));
    EXPECT_EQ(wait(Code::Unavailable, std::nullopt), seconds(1));
    EXPECT_EQ(wait(Code::RateLimited, milliseconds(0)), seconds(1));
    EXPECT_EQ(wait(Code::InvalidArgument, milliseconds(2100)), std::nullopt);
    EXPECT_EQ(wait(Code::Internal, milliseconds(2100)), std::nullopt);
    EXPECT_EQ(wait(Code::BadUpstream, milliseconds(2100)), seconds(3));
    EXPECT_EQ(wait(Code::BadUpstream, std::nullopt), std::nullopt);
}

TEST(Anthropic, TellsOfALongPromptInTheWordsAgentsLookFor) {
    const Error error{.code = Code::InvalidArgument,
                      .message = "shorten it",
                      .reason = "context_length_exceeded",
                      .amount = 4097,
                      .limit = 4096};
    const json::value body = json::parse(encode_error(error, "").body);
    EXPECT_EQ(body.at("error").at("message"),
              json::value("prompt is too long: 4097 tokens > 4096 maximum. shorten it"));
    EXPECT_TRUE(body.at("request_id").is_null());
}

TEST(Anthropic, ReadsALimit) {
    EXPECT_EQ(*parse_limit(""), 1000U);
    EXPECT_EQ(*parse_limit("1"), 1U);
    EXPECT_EQ(*parse_limit("1000"), 1000U);
    for (const char* wrong : {"0", "1001", "-1", "2x", " 2", "99999999999999999999"}) {
        const auto limit = parse_limit(wrong);
        ASSERT_FALSE(limit) << wrong;
        EXPECT_EQ(limit.error().code, Code::InvalidArgument);
        EXPECT_EQ(limit.error().param, "limit");
    }
}

TEST(Anthropic, ListsModelsByPages) {
    std::vector<models::Model> models;
    for (const char* name : {"a", "b", "c", "d", "e"}) models.push_back(sample_model(name));
    std::string seen;
    Page page{.limit = 2};
    for (bool more = true; more;) {
        const json::value answer = json::parse(encode_models(models, page).body);
        for (const json::value& model : answer.at("data").as_array()) {
            seen += std::string(model.at("id").as_string());
        }
        more = answer.at("has_more").as_bool();
        page.after_id = std::string(answer.at("last_id").as_string());
    }
    EXPECT_EQ(seen, "abcde");
    seen.clear();
    page = {.limit = 2, .before_id = "e"};
    for (bool more = true; more;) {
        const json::value answer = json::parse(encode_models(models, page).body);
        std::string part;
        for (const json::value& model : answer.at("data").as_array()) {
            part += std::string(model.at("id").as_string());
        }
        seen.insert(0, part);
        more = answer.at("has_more").as_bool();
        page.before_id = std::string(answer.at("first_id").as_string());
    }
    EXPECT_EQ(seen, "abcd");
}

TEST(Anthropic, BelievesOnlyACount) {
    EXPECT_EQ(encode_count({{"input_tokens", 0}})->body, R"({"input_tokens":0})");
    for (const json::object& wrong : {json::object{}, json::object{{"input_tokens", "3"}},
                                      json::object{{"input_tokens", -1}}}) {
        const auto reply = encode_count(wrong);
        ASSERT_FALSE(reply);
        EXPECT_EQ(reply.error().code, Code::BadUpstream);
    }
}

}  // namespace
}  // namespace hearth::api::anthropic
