#include "http/event_stream.h"

#include <gtest/gtest.h>

#include <vector>

namespace hearth::http {
namespace {

// Every event as "name|data|id", the bytes fed in pieces of `size`.
std::vector<std::string> parse(std::string_view bytes, std::size_t size) {
    EventStreamParser parser;
    std::vector<std::string> seen;
    while (!bytes.empty()) {
        const std::string piece(bytes.substr(0, size));
        bytes.remove_prefix(piece.size());
        const auto fed = parser.feed(piece, [&](const Event& event) -> Result<void> {
            seen.push_back(event.name + "|" + event.data + "|" + event.id);
            return {};
        });
        EXPECT_TRUE(fed);
    }
    return seen;
}

TEST(EventStream, WritesEvents) {
    std::string out;
    append_event(out, "{}");
    append_event(out, "two\nlines", "delta");
    append_event(out, "");
    EXPECT_EQ(out, "data: {}\n\nevent: delta\ndata: two\ndata: lines\n\ndata: \n\n");
}

TEST(EventStream, WritesNothingThatBreaksTheStream) {
    std::string out;
    append_event(out, "a\r\nb\rc", "x\ny");
    EXPECT_EQ(out, "event: x\ndata: a\ndata: b\ndata: c\n\n");
}

TEST(EventStream, WritesJsonLines) {
    std::string out;
    append_json_line(out, "{}");
    EXPECT_EQ(out, "{}\n");
}

TEST(EventStream, ReadsEventsHoweverTheyAreCut) {
    const std::string bytes =
        "\xEF\xBB\xBF: comment\ndata: a\ndata:b\n\nevent: x\rdata: c\r\rid: 7\r\ndata\r\n\r\n"
        "event: no data\n\nretry: 5\nunknown: x\ndata:  two spaces\n\ndata: never ends\n";
    const std::vector<std::string> expected = {"|a\nb|", "x|c|", "||7", "| two spaces|7"};
    for (std::size_t size = 1; size <= bytes.size(); ++size) {
        EXPECT_EQ(parse(bytes, size), expected) << size;
    }
}

TEST(EventStream, ReadsWhatItWrites) {
    std::string out;
    append_event(out, "line 1\nline 2\n", "name");
    EXPECT_EQ(parse(out, 3), (std::vector<std::string>{"name|line 1\nline 2\n|"}));
}

TEST(EventStream, RefusesAnEventAboveTheLimit) {
    const EventStreamParser::OnEvent ignore = [](const Event&) { return Result<void>(); };
    EventStreamParser line(10);
    EXPECT_TRUE(line.feed("data: 1234", ignore));
    EXPECT_EQ(line.feed("5", ignore).error().reason, "event_too_large");
    EventStreamParser lines(20);
    Result<void> fed;
    for (int i = 0; i < 20 && fed; ++i) fed = lines.feed("data: x\n", ignore);
    EXPECT_FALSE(fed);
}

TEST(EventStream, EndsWhenTheReceiverFails) {
    EventStreamParser parser;
    int calls = 0;
    const auto fed = parser.feed("data: a\n\ndata: b\n\n", [&](const Event&) -> Result<void> {
        ++calls;
        return fail(Code::Cancelled, "enough");
    });
    EXPECT_FALSE(fed);
    EXPECT_EQ(calls, 1);
}

TEST(OnlyData, KnowsTheFormThatNearlyAllEventsHave) {
    EXPECT_EQ(only_data("data: x\n\n"), "x");
    EXPECT_EQ(only_data("data:x\n\n"), "x");
    EXPECT_EQ(only_data("event: e\ndata: {\"a\": 1}\n\n"), "{\"a\": 1}");
    EXPECT_EQ(only_data("data: \n\n"), "");
    for (const std::string_view event :
         {"", "\n\n", "data: x\n", "data: x\r\n\r\n", "data: x\ndata: y\n\n", ": x\n\n",
          "data: x\r\n\n", "event: e\r\ndata: x\n\n", "event: e\nid: 1\ndata: x\n\n", "event: e",
          "data:\n", "event:\n\n", "data: x\ny\n\n"}) {
        EXPECT_EQ(only_data(event), std::nullopt) << event;
    }
}

TEST(LineParser, CutsLinesHoweverTheyArrive) {
    const std::string bytes = "{\"a\":1}\n\r\n{\"b\":2}\r\nlast";
    for (std::size_t size = 1; size <= bytes.size(); ++size) {
        LineParser parser;
        std::vector<std::string> seen;
        const LineParser::OnLine keep = [&](std::string_view line) -> Result<void> {
            seen.emplace_back(line);
            return {};
        };
        for (std::size_t at = 0; at < bytes.size(); at += size) {
            EXPECT_TRUE(parser.feed(bytes.substr(at, size), keep));
        }
        EXPECT_TRUE(parser.finish(keep));
        EXPECT_EQ(seen, (std::vector<std::string>{"{\"a\":1}", "{\"b\":2}", "last"})) << size;
    }
}

TEST(LineParser, RefusesALineAboveTheLimit) {
    LineParser parser(5);
    const LineParser::OnLine ignore = [](std::string_view) { return Result<void>(); };
    EXPECT_TRUE(parser.feed("12345\n123", ignore));
    EXPECT_EQ(parser.feed("456", ignore).error().reason, "event_too_large");
}

}  // namespace
}  // namespace hearth::http
