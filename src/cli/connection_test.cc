#include "cli/connection.h"

#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <csignal>

#include "base/format.h"
#include "cli/interrupt.h"
#include "testing/scripted_server.h"

namespace hearth::cli {
namespace {

using hearth::testing::RawSocket;
using hearth::testing::ScriptedServer;

// Reads one request, then says `reply` and closes.
ScriptedServer::Script replies(std::string reply) {
    return [reply = std::move(reply)](RawSocket& socket, int) {
        socket.read_reply();
        socket.send(reply);
    };
}

std::string head(std::string_view status, std::string_view type) {
    return format("HTTP/1.1 {}\r\nContent-Type: {}\r\nConnection: close\r\n\r\n", status, type);
}

struct Streamed {
    Result<void> done;
    std::vector<std::string> lines;
};

Streamed stream_from(const ScriptedServer& server) {
    Connection connection(server.address());
    Streamed streamed;
    streamed.done = connection.stream("/api/chat", "{}", [&](std::string_view line) {
        streamed.lines.emplace_back(line);
        return Result<void>();
    });
    return streamed;
}

using Lines = std::vector<std::string>;

TEST(ConnectionStream, HandsOverLines) {
    const ScriptedServer server(
        replies(head("200 OK", "application/x-ndjson") + "{}\n{\"a\":1}\n"));
    const Streamed streamed = stream_from(server);
    EXPECT_TRUE(streamed.done);
    EXPECT_EQ(streamed.lines, (Lines{"{}", "{\"a\":1}"}));
}

TEST(ConnectionStream, HandsOverEventsButNotTheLast) {
    const ScriptedServer server(replies(head("200 OK", "text/event-stream") +
                                        "data: 1\n\n: quiet\n\ndata: 2\n\ndata: [DONE]\n\n"));
    const Streamed streamed = stream_from(server);
    EXPECT_TRUE(streamed.done);
    EXPECT_EQ(streamed.lines, (Lines{"1", "2"}));
}

TEST(ConnectionStream, HandsOverAnyOtherBodyWhole) {
    const ScriptedServer server(replies(head("200 OK", "application/json") + "{\n}\n"));
    EXPECT_EQ(stream_from(server).lines, (Lines{"{\n}\n"}));
}

TEST(ConnectionStream, TellsTheServersError) {
    const ScriptedServer server(
        replies(head("404 Not Found", "application/json") + R"({"error":"no such model"})"));
    const Streamed streamed = stream_from(server);
    ASSERT_FALSE(streamed.done);
    EXPECT_EQ(streamed.done.error().message, "no such model");
    EXPECT_TRUE(streamed.lines.empty());
}

TEST(ConnectionStream, TellsTheStatusOfAnErrorWithoutWords) {
    const ScriptedServer server(replies(head("502 Bad Gateway", "text/html") + "<h1>no</h1>"));
    EXPECT_EQ(stream_from(server).done.error().message, "status 502: <h1>no</h1>");
}

TEST(ConnectionStream, AnAnswerCutShortIsAnError) {
    const ScriptedServer server(
        replies("HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\n"
                "Content-Length: 100\r\n\r\n{}\n"));
    const Streamed streamed = stream_from(server);
    EXPECT_FALSE(streamed.done);
    EXPECT_EQ(streamed.lines, (Lines{"{}"}));
}

TEST(ConnectionStream, AnErrorOfTheReaderEndsIt) {
    const ScriptedServer server(replies(head("200 OK", "application/x-ndjson") + "1\n2\n"));
    Connection connection(server.address());
    int lines = 0;
    const auto done = connection.stream("/", "{}", [&](std::string_view) -> Result<void> {
        ++lines;
        return fail(Code::BadUpstream, "enough");
    });
    EXPECT_EQ(done.error().message, "enough");
    EXPECT_EQ(lines, 1);
}

TEST(ConnectionStream, AdvisesWhereNoServerAnswers) {
    Connection connection("127.0.0.1:1");
    const auto done = connection.stream("/", "{}", [](auto) { return Result<void>(); });
    ASSERT_FALSE(done);
    EXPECT_EQ(done.error().code, Code::Unavailable);
    EXPECT_TRUE(done.error().message.contains("hearth serve"));
}

TEST(ConnectionStream, AnInterruptionClosesTheConnection) {
    bool closed = false;
    {
        const InterruptGuard guard;
        const ScriptedServer server([&](RawSocket& socket, int) {
            socket.read_reply();
            socket.send(head("200 OK", "application/x-ndjson") + "{}\n");
            ::kill(::getpid(), SIGINT);
            const auto rest = socket.read_some();
            closed = rest && rest->empty();
        });
        const Streamed streamed = stream_from(server);
        ASSERT_FALSE(streamed.done);
        EXPECT_EQ(streamed.done.error().code, Code::Cancelled);
        EXPECT_TRUE(interrupted());
        clear_interrupt();
    }
    EXPECT_TRUE(closed);
}

TEST(ConnectionCall, AnAnswerWithoutABodyIsNull) {
    const ScriptedServer server(
        replies("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"));
    Connection connection(server.address());
    const auto reply = connection.call("DELETE", "/api/delete", "{}");
    ASSERT_TRUE(reply) << reply.error().message;
    EXPECT_TRUE(reply->is_null());
}

TEST(ReadAnswerLine, IsAnObjectOrAnError) {
    EXPECT_TRUE(read_answer_line("{\"a\":1}"));
    EXPECT_EQ(read_answer_line(R"({"error":"full"})").error().message, "full");
    EXPECT_EQ(read_answer_line(R"({"error":{"message":"full"}})").error().message, "full");
    for (const char* line : {"", "[]", "{", "{\"a\":1} x", "\xFF"}) {
        const auto read = read_answer_line(line);
        ASSERT_FALSE(read) << line;
        EXPECT_EQ(read.error().code, Code::BadUpstream);
    }
}

}  // namespace
}  // namespace hearth::cli
