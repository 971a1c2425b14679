#include "backends/remote/event_splitter.h"

#include <gtest/gtest.h>

#include <vector>

namespace hearth::remote {
namespace {

using Events = std::vector<std::string>;

struct Cut {
    Events events;
    std::string rest;
};

Cut cut(Framing framing, std::string_view text, std::size_t piece) {
    EventSplitter splitter(framing);
    Cut found;
    for (std::size_t at = 0; at < text.size(); at += piece) {
        EXPECT_TRUE(splitter.feed(text.substr(at, piece), [&](std::string_view event) {
            found.events.emplace_back(event);
            return Result<void>();
        }));
    }
    found.rest = splitter.rest();
    return found;
}

TEST(EventSplitter, GivesWholeEventsHoweverTheyAreCut) {
    struct Case {
        Framing framing;
        std::string_view text;
        Events events;
        std::string_view rest;
    };
    const Case cases[] = {
        {Framing::EventStream,
         "data: a\n\ndata: b\n\ndata: c",
         {"data: a\n\n", "data: b\n\n"},
         "data: c"},
        {Framing::EventStream,
         "event: x\r\ndata: a\r\n\r\n: ping\r\n\r\n",
         {"event: x\r\ndata: a\r\n\r\n", ": ping\r\n\r\n"},
         ""},
        {Framing::EventStream, "data: a\r\rdata: b\r\n\n", {"data: a\r\r", "data: b\r\n\n"}, ""},
        {Framing::Lines,
         "{\"a\":1}\n{\"b\":2}\r\n{\"c\"",
         {"{\"a\":1}\n", "{\"b\":2}\r\n"},
         "{\"c\""},
    };
    for (const Case& one : cases) {
        for (std::size_t piece = 1; piece <= one.text.size(); ++piece) {
            const Cut found = cut(one.framing, one.text, piece);
            EXPECT_EQ(found.events, one.events) << one.text << " by " << piece;
            EXPECT_EQ(found.rest, one.rest) << one.text << " by " << piece;
        }
    }
}

TEST(EventSplitter, StopsAtAnError) {
    EventSplitter splitter(Framing::Lines);
    int taken = 0;
    const auto fed = splitter.feed("a\nb\nc\n", [&](std::string_view) -> Result<void> {
        if (++taken == 2) return fail(Code::BadUpstream, "no");
        return {};
    });
    EXPECT_FALSE(fed);
    EXPECT_EQ(taken, 2);
}

TEST(EventSplitter, AnEventHasABound) {
    EventSplitter splitter(Framing::EventStream);
    const std::string piece(1 << 20, 'x');
    Result<void> fed;
    int pieces = 0;
    while (fed && pieces < 64) {
        fed = splitter.feed(piece, [](std::string_view) { return Result<void>(); });
        ++pieces;
    }
    EXPECT_EQ(pieces, 17);
    EXPECT_EQ(fed.error().code, Code::BadUpstream);
    EXPECT_EQ(fed.error().reason, "event_too_large");
}

}  // namespace
}  // namespace hearth::remote
