#include "http/request_reader.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "http/head_parser.h"

namespace hearth::http {
namespace {

using Step = RequestReader::Step;

// Feeds `bytes` in pieces of `size`, and says what the requests were: "path:body" each.
std::vector<std::string> read_all(RequestReader& reader, std::string_view bytes, std::size_t size) {
    std::vector<std::string> seen;
    while (!bytes.empty()) {
        const std::string piece(bytes.substr(0, size));
        bytes.remove_prefix(piece.size());
        Step step = reader.feed(piece);
        while (step == Step::Done) {
            seen.push_back(reader.request().path + ":" + reader.request().body);
            step = reader.next();
        }
        if (step == Step::Bad) {
            seen.push_back("bad " + std::to_string(reader.refusal().status));
            break;
        }
    }
    return seen;
}

std::string post_bytes(const std::string& path, const std::string& body) {
    return "POST " + path +
           " HTTP/1.1\r\nHost: h\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" +
           body;
}

TEST(QueryValue, IsTheFirstOfItsName) {
    EXPECT_EQ(query_value("a=1&model=x%2Fy%20z&model=2", "model"), "x/y z");
    EXPECT_EQ(query_value("model=", "model"), "");
    for (const char* query :
         {"", "&", "model", "models=x", "a=model=x", "model=%zz", "model=%00"}) {
        EXPECT_EQ(query_value(query, "model"), "") << query;
    }
}

TEST(RequestReader, ReadsTheSameRequestsHoweverTheyAreCut) {
    const std::string bytes =
        post_bytes("/a", "one") +
        "POST /b HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\ntwo\r\n"
        "5;x=\"y\"\r\nthree\r\n0\r\nT: x\r\n\r\n" +
        "GET /c HTTP/1.1\r\nHost: h\r\n\r\n" + post_bytes("/d", std::string(3000, 'd')) +
        "GET /%zz HTTP/1.1\r\nHost: h\r\n\r\n";
    const std::vector<std::string> expected = {"/a:one", "/b:twothree",
                                               "/c:", "/d:" + std::string(3000, 'd'), "bad 400"};
    for (std::size_t size = 1; size < bytes.size() + 2; size += size < 200 ? 1 : 97) {
        RequestReader reader({});
        EXPECT_EQ(read_all(reader, bytes, size), expected) << size;
    }
}

TEST(RequestReader, ReadsLongBodiesStraightToTheirPlace) {
    RequestReader reader({});
    const std::string body(1'000'000, 'x');
    const std::string bytes = post_bytes("/a", body) + "GET /b";
    ASSERT_EQ(reader.feed(bytes.substr(0, 70'000)), Step::More);
    std::size_t at = 70'000;
    Step step = Step::More;
    while (step == Step::More) {
        const std::span<char> space = reader.body_space();
        const std::size_t size = std::min<std::size_t>({space.size(), 50'000, bytes.size() - at});
        if (space.empty()) {
            step = reader.feed(bytes.substr(at));
            break;
        }
        bytes.copy(space.data(), size, at);
        at += size;
        step = reader.received(size);
        if (step == Step::More && reader.body_space().size() > 0) {
            EXPECT_EQ(reader.received(0), Step::More);
        }
    }
    ASSERT_EQ(step, Step::Done);
    EXPECT_EQ(reader.request().body.size(), body.size());
    EXPECT_TRUE(reader.request().body == body);
}

TEST(RequestReader, DoesNotTakeMemoryForWhatHasNotCome) {
    RequestReader reader({});
    ASSERT_EQ(reader.feed("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 60000000\r\n\r\n"),
              Step::More);
    EXPECT_LE(reader.body_space().size(), 64U << 10);
    EXPECT_EQ(reader.received(0), Step::More);
    EXPECT_LE(reader.request().body.capacity(), 128U << 10);
}

TEST(RequestReader, KeepsNoMoreThanItMustOfEndlessPipelining) {
    RequestReader reader({});
    const std::string one = "GET /a HTTP/1.1\r\nHost: h\r\n\r\n";
    std::string bytes;
    while (bytes.size() < 100'000) bytes += one;
    std::size_t seen = 0;
    for (int i = 0; i < 20; ++i) {
        // Cut so that a part of a request always stays.
        Step step =
            reader.feed(i == 0 ? bytes.substr(0, bytes.size() - 5) : bytes.substr(0, bytes.size()));
        for (; step == Step::Done; step = reader.next()) ++seen;
        ASSERT_EQ(step, Step::More) << i;
        step = reader.feed(bytes.substr(bytes.size() - 5));
        for (; step == Step::Done; step = reader.next()) ++seen;
        if (step == Step::Bad) break;
        (void)reader.feed(bytes.substr(0, 10));
        step = reader.feed(one.substr(10));
        for (; step == Step::Done; step = reader.next()) ++seen;
    }
    EXPECT_GT(seen, bytes.size() / one.size());
}

TEST(RequestReader, RefusesBombsInChunkOverhead) {
    const std::string head = "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n";
    RequestReader extensions({});
    EXPECT_EQ(extensions.feed(head + "1;" + std::string(20'000, 'a')), Step::Bad);
    EXPECT_EQ(extensions.refusal().status, 400);
    RequestReader many({});
    std::string tiny = head;
    for (int i = 0; i < 30'000; ++i) tiny += "1;a\r\nx\r\n";
    EXPECT_EQ(many.feed(tiny), Step::Bad);
    RequestReader trailers({});
    EXPECT_EQ(trailers.feed(head + "0\r\nA: " + std::string(20'000, 'a')), Step::Bad);
}

}  // namespace
}  // namespace hearth::http
