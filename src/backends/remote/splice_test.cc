#include "backends/remote/splice.h"

#include <gtest/gtest.h>

#include <boost/json.hpp>

#include "backends/remote/server_url.h"

namespace hearth::remote {
namespace {

TEST(Splice, ReplacesTheModelAndNothingElse) {
    EXPECT_EQ(
        with_model(R"({ "messages" : [ {"model":"inner"} ], "model" : "a" , "n":1.50e0 })", "b"),
        R"({ "messages" : [ {"model":"inner"} ], "model" : "b" , "n":1.50e0 })");
    EXPECT_EQ(with_model(R"({"model":null,"x":"\"model\":\\"})", "b"),
              R"({"model":"b","x":"\"model\":\\"})");
    EXPECT_EQ(with_model(R"({"model":{"a":["}"]}})", "b"), R"({"model":"b"})");
}

TEST(Splice, ReplacesEveryOne) {
    EXPECT_EQ(with_model(R"({"model":"a","model":"c"})", "b"), R"({"model":"b","model":"b"})");
}

TEST(Splice, AddsOneWhereThereIsNone) {
    EXPECT_EQ(with_model(R"({"n":1})", "b"), R"({"n":1,"model":"b"})");
    EXPECT_EQ(with_model("{ }", "b"), R"({ "model":"b"})");
    EXPECT_EQ(with_model(R"({"\u006dodel":"a"})", "b"), R"({"\u006dodel":"a","model":"b"})");
}

TEST(Splice, PutsAnyMember) {
    EXPECT_EQ(with_member(R"({"a": 1, "n":2})", "a", R"({"b":[]})"), R"({"a": {"b":[]}, "n":2})");
    EXPECT_EQ(with_member(R"({"n":2})", "a", "true"), R"({"n":2,"a":true})");
}

TEST(Splice, WhatIsNoObjectStaysAsItIs) {
    for (const char* body : {"", " ", "[1]", "\xEF\xBB\xBF{\"model\":\"a\"}"}) {
        EXPECT_EQ(with_model(body, "b"), body);
    }
}

TEST(Splice, WritesTheNameAsJson) {
    const std::string out = with_model(R"({"model":"a"})", "we\"ird\\\n");
    EXPECT_EQ(boost::json::parse(out).at("model").as_string(), "we\"ird\\\n");
}

TEST(ServerUrl, TakesAnAddressApart) {
    const auto plain = ServerUrl::parse("http://box:8000");
    ASSERT_TRUE(plain) << plain.error().message;
    EXPECT_FALSE(plain->tls);
    EXPECT_EQ(plain->address, "box:8000");
    EXPECT_EQ(plain->base, "");
    const auto secure = ServerUrl::parse("https://API.example.com/openai/v1/");
    ASSERT_TRUE(secure);
    EXPECT_TRUE(secure->tls);
    EXPECT_EQ(secure->address, "API.example.com:443");
    EXPECT_EQ(secure->base, "/openai/v1");
    const auto six = ServerUrl::parse("http://[::1]:11434/");
    ASSERT_TRUE(six);
    EXPECT_EQ(six->address, "[::1]:11434");
    EXPECT_EQ(six->host, "::1");
}

TEST(ServerUrl, RepeatsNoSecret) {
    for (const char* text :
         {"http://alice:s3cret@box:8000/v1", "htp://alice:s3cret@box",
          "http://alice:s3/cr@et?x@box:99999", "alice:s3cret@box", "https://box/v1?key=s3cret",
          "http://box/#s3cret", "http://u:s3cret@box:8000/v1 "}) {
        const std::string told = ServerUrl::parse(text).error().message;
        for (const char* secret : {"s3", "cret", "alice", "et?x"}) {
            EXPECT_FALSE(told.contains(secret)) << told;
        }
        EXPECT_TRUE(told.contains("box")) << told;
    }
}

TEST(ServerUrl, RefusesWhatIsNone) {
    for (const char* text :
         {"", "box:8000", "ftp://box", "http://", "http://u:p@box", "http://box?x", "http://box#x",
          "http://box:0", "http://box:99999", "http://bo x"}) {
        EXPECT_FALSE(ServerUrl::parse(text)) << text;
    }
}

}  // namespace
}  // namespace hearth::remote
