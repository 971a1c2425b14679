#include "fetch/url.h"

#include <gtest/gtest.h>

namespace hearth::fetch {
namespace {

Url url(std::string_view text) { return Url::parse(text).value(); }

TEST(Url, HasAnOrigin) {
    EXPECT_EQ(url("https://Hub.example/a?b#c").origin(), "https://hub.example:443");
    EXPECT_EQ(url("http://127.0.0.1:8080/").origin(), "http://127.0.0.1:8080");
    EXPECT_EQ(url("https://[::1]:9/x").host, "[::1]");
}

TEST(Url, IsRefusedWhenItIsNotPlainHttp) {
    for (const char* text : {"", "hub.example/a", "ftp://hub.example/", "file:///etc/passwd",
                             "https://user:word@hub.example/", "https://user@hub.example/",
                             "https://", "http://a b/", "http://a/\r\nX: y"}) {
        EXPECT_FALSE(Url::parse(text)) << text;
    }
    EXPECT_FALSE(Url::parse("https://a/" + std::string(9000, 'x')));
}

TEST(Url, KnowsThisMachine) {
    for (const char* text : {"http://127.0.0.1/", "http://127.1.2.3:5/", "http://localhost:1/",
                             "http://[::1]/", "http://LOCALHOST/"}) {
        EXPECT_TRUE(url(text).is_loopback()) << text;
    }
    for (const char* text :
         {"http://127.0.0.1.example/", "http://128.0.0.1/", "http://localhost.x/",
          "http://127.evil.example.com/", "http://10.0.0.1/"}) {
        EXPECT_FALSE(url(text).is_loopback()) << text;
    }
}

TEST(Url, MayBeVisitedOverTlsOrOnThisMachineOnly) {
    EXPECT_TRUE(may_visit(url("https://hub.example/"), false));
    EXPECT_TRUE(may_visit(url("http://localhost/"), false));
    EXPECT_FALSE(may_visit(url("http://hub.example/"), false));
    EXPECT_TRUE(may_visit(url("http://hub.example/"), true));
}

TEST(Url, IsNeverLeftFromTlsToPlainText) {
    const Url safe = url("https://hub.example/");
    EXPECT_TRUE(may_follow(safe, url("https://cdn.example/"), false));
    EXPECT_FALSE(may_follow(safe, url("http://cdn.example/"), true));
    EXPECT_FALSE(may_follow(safe, url("http://127.0.0.1/"), true));
    EXPECT_FALSE(may_follow(url("http://127.0.0.1/"), url("http://cdn.example/"), false));
}

TEST(Url, IsEncodedInParts) {
    EXPECT_EQ(encode_path("a b/c#d?.gguf"), "a%20b/c%23d%3F.gguf");
    EXPECT_EQ(encode_query_value("repository:a/b:pull"), "repository%3Aa%2Fb%3Apull");
}

}  // namespace
}  // namespace hearth::fetch
