#include "http/client.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <boost/asio/io_context.hpp>

#include "http/server_fixture.h"
#include "runtime/task_group.h"
#include "testing/run.h"
#include "testing/scripted_server.h"

namespace hearth::http {
namespace {

using namespace std::chrono_literals;
using hearth::testing::run;
using hearth::testing::ScriptedServer;
using testing::eventually;
using testing::RawSocket;
using testing::TestServer;

Deadline soon() { return Deadline::after(30s); }

Call get(std::string target) { return {.target = std::move(target)}; }
Call post_echo(std::string body) {
    return {.method = Method::Post, .target = "/echo", .headers = {}, .body = std::move(body)};
}

Result<Reply> send(boost::asio::io_context& io, Client& client, Call call,
                   Deadline deadline = soon()) {
    return run(io, client.send(std::move(call), deadline), 40s);
}

// Sends `reply` to every request of every connection and then closes.
ScriptedServer::Script answer_with(std::string reply) {
    return [reply](RawSocket& socket, int) {
        socket.read_until("\r\n\r\n");
        socket.send(reply);
    };
}

TEST(Client, ExchangesWithOurServer) {
    TestServer server;
    boost::asio::io_context io;
    Client client(server.address);
    const auto reply = send(io, client, post_echo("hello"));
    ASSERT_TRUE(reply) << reply.error().message;
    EXPECT_EQ(reply->status, 200);
    EXPECT_EQ(reply->body, "hello");
    EXPECT_EQ(reply->headers.find("content-TYPE"), "text/plain");
}

TEST(Client, UsesOneConnectionForManyRequests) {
    TestServer server;
    boost::asio::io_context io;
    Client client(server.address);
    for (int i = 0; i < 100; ++i) {
        const auto reply = send(io, client, post_echo(std::to_string(i)));
        ASSERT_TRUE(reply) << reply.error().message;
        EXPECT_EQ(reply->body, std::to_string(i));
        EXPECT_EQ(server.server.connections_approx(), 1U);
    }
}

TEST(Client, CarriesLargeBodiesBothWays) {
    TestServer server;
    boost::asio::io_context io;
    Client client(server.address);
    std::string body(20 << 20, '\0');
    for (std::size_t i = 0; i < body.size(); ++i) body[i] = char(i * 7 + i / 1000);
    for (int i = 0; i < 2; ++i) {
        const auto reply = send(io, client, post_echo(body));
        ASSERT_TRUE(reply) << reply.error().message;
        EXPECT_TRUE(reply->body == body);
    }
}

TEST(Client, SpeaksOverUnixSockets) {
    const std::string path = "/tmp/hearth-client-" + std::to_string(::getpid()) + ".sock";
    TestServer server;
    ASSERT_TRUE(server.server.listen("unix:" + path));
    boost::asio::io_context io;
    Client client("unix:" + path);
    for (int i = 0; i < 3; ++i) {
        const auto reply = send(io, client, post_echo("over unix"));
        ASSERT_TRUE(reply) << reply.error().message;
        EXPECT_EQ(reply->body, "over unix");
    }
}

TEST(Client, ResolvesNames) {
    TestServer server;
    boost::asio::io_context io;
    Client client("localhost" + server.address.substr(server.address.rfind(':')));
    EXPECT_TRUE(send(io, client, get("/")));
}

Awaitable<Result<void>> collect(std::string* all, std::string_view piece) {
    all->append(piece);
    co_return Result<void>();
}

TEST(Client, StreamsPieceByPiece) {
    TestServer server;
    boost::asio::io_context io;
    Client client(server.address);
    std::string all;
    int heads = 0;
    for (int i = 0; i < 2; ++i) {
        all.clear();
        const auto reply =
            run(io, client.stream(
                        get("/stream"), soon(),
                        [&](const Reply& head) -> Result<void> {
                            heads += head.status == 200 ? 1 : 100;
                            return {};
                        },
                        [&](std::string_view piece) { return collect(&all, piece); }));
        ASSERT_TRUE(reply) << reply.error().message;
        EXPECT_EQ(all, "aaaaabbbbbccccc");
        EXPECT_TRUE(reply->body.empty());
    }
    EXPECT_EQ(heads, 2);
    EXPECT_EQ(server.server.connections_approx(), 1U);
}

Awaitable<Result<void>> dawdle(std::size_t* size, std::string_view piece) {
    *size += piece.size();
    if (*size < 1'000'000) CO_TRY_VOID(co_await sleep_until(Deadline::after(5ms)));
    co_return Result<void>();
}

TEST(Client, HoldsBackAServerThatIsFasterThanItsReader) {
    TestServer server;
    boost::asio::io_context io;
    Client client(server.address);
    std::size_t size = 0;
    const auto reply =
        run(io,
            client.stream(
                get("/flood"), Deadline::after(30s), [](const Reply&) { return Result<void>(); },
                [&](std::string_view piece) { return dawdle(&size, piece); }),
            30s);
    ASSERT_TRUE(reply) << reply.error().message;
    EXPECT_EQ(size, std::size_t(4'000) * (64 << 10));
}

Awaitable<Result<void>> refuse(std::string_view) {
    co_return fail(Code::InvalidArgument, "enough");
}

TEST(Client, StopsAStreamWhenItsReaderFails) {
    TestServer server;
    boost::asio::io_context io;
    Client client(server.address);
    const auto reply = run(
        io,
        client.stream(get("/flood"), soon(), [](const Reply&) { return Result<void>(); }, refuse));
    ASSERT_FALSE(reply);
    EXPECT_EQ(reply.error().message, "enough");
    EXPECT_TRUE(eventually([&] { return server.server.connections_approx() == 0; }));
    const auto head_only = run(
        io, client.stream(
                get("/"), soon(),
                [](const Reply&) -> Result<void> { return fail(Code::Internal, "no"); }, refuse));
    EXPECT_EQ(head_only.error().code, Code::Internal);
}

TEST(Client, AnswersToHeadHaveNoBody) {
    TestServer server;
    boost::asio::io_context io;
    Client client(server.address);
    for (int i = 0; i < 2; ++i) {
        const auto reply = send(io, client, {.method = Method::Head, .target = "/big"});
        ASSERT_TRUE(reply) << reply.error().message;
        EXPECT_EQ(reply->headers.find("content-length"), std::to_string(8 << 20));
        EXPECT_TRUE(reply->body.empty());
    }
    EXPECT_EQ(server.server.connections_approx(), 1U);
}

TEST(Client, GivesUpAtTheDeadline) {
    TestServer server;
    boost::asio::io_context io;
    Client client(server.address);
    const auto begin = std::chrono::steady_clock::now();
    const auto reply = send(io, client, get("/slow?100000"), Deadline::after(50ms));
    ASSERT_FALSE(reply);
    EXPECT_EQ(reply.error().code, Code::DeadlineExceeded);
    EXPECT_LT(std::chrono::steady_clock::now() - begin, 1s);
    EXPECT_TRUE(eventually([&] { return server.seen.destroyed == 1; }));
}

TEST(Client, GivesUpAtTheDeadlineOnAServerThatNeverPauses) {
    ScriptedServer server([](RawSocket& socket, int) {
        socket.read_until("\r\n\r\n");
        socket.send("HTTP/1.1 200 OK\r\n\r\n");
        while (socket.send(std::string(100'000, 'x'))) {
        }
    });
    boost::asio::io_context io;
    Client client(server.address(), {.body_bytes_max = std::size_t(1) << 40});
    const auto reply =
        run(io,
            client.stream(
                get("/"), Deadline::after(100ms), [](const Reply&) { return Result<void>(); },
                [](std::string_view) -> Awaitable<Result<void>> { co_return Result<void>(); }),
            20s);
    EXPECT_EQ(reply.error().code, Code::DeadlineExceeded);
}

TEST(Client, MayOutliveItsContext) {
    TestServer server;
    std::unique_ptr<Client> client;
    {
        boost::asio::io_context io;
        client = std::make_unique<Client>(server.address);
        EXPECT_TRUE(send(io, *client, get("/")));
    }
    client.reset();
}

Awaitable<void> send_task(Client* client, Code* code) {
    const auto reply = co_await client->send(get("/slow?100000"), soon());
    *code = reply ? Code::Internal : reply.error().code;
}

TEST(Client, MayBeCancelled) {
    TestServer server;
    boost::asio::io_context io;
    Client client(server.address);
    runtime::TaskGroup group(io);
    Code code = Code::Internal;
    group.spawn("send", send_task(&client, &code));
    while (server.seen.calls == 0) io.run_for(1ms);
    run(io, group.stop());
    EXPECT_EQ(code, Code::Cancelled);
    EXPECT_TRUE(eventually([&] { return server.seen.destroyed == 1; }));
}

TEST(Client, SaysThatNothingCanHaveBeenProcessedWhenItCannotConnect) {
    boost::asio::io_context io;
    std::string address;
    {
        TestServer server;
        address = server.address;
    }
    for (const std::string& gone : {address, std::string("unix:/tmp/hearth-no-such.sock")}) {
        Client client(gone);
        const auto reply = send(io, client, get("/"));
        ASSERT_FALSE(reply);
        EXPECT_EQ(reply.error().code, Code::Unavailable);
        EXPECT_EQ(reply.error().reason, "connect_failed");
        EXPECT_TRUE(reply.error().message.contains(gone.starts_with("unix:") ? "unix" : gone));
        const std::string told = Error(reply.error()).told().message;
        EXPECT_TRUE(told == "cannot connect: Connection refused" ||
                    told == "cannot connect: No such file or directory")
            << told;
    }
    Client nonsense("nonsense");
    EXPECT_EQ(send(io, nonsense, get("/")).error().code, Code::InvalidArgument);
}

TEST(Client, RefusesToSendWhatWouldBreakTheMessage) {
    TestServer server;
    boost::asio::io_context io;
    Client client(server.address);
    EXPECT_EQ(send(io, client, get("/a b")).error().code, Code::InvalidArgument);
    EXPECT_EQ(send(io, client, get("")).error().code, Code::InvalidArgument);
    Call call = get("/");
    call.headers.add("X", "a\r\nY: b");
    EXPECT_EQ(send(io, client, call).error().code, Code::InvalidArgument);
}

TEST(Client, ReadsEveryKindOfReply) {
    struct Good {
        const char* what;
        std::string bytes;
        std::string body;
    };
    const Good cases[] = {
        {"length", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", "ok"},
        {"until close", "HTTP/1.1 200 OK\r\n\r\nall of it", "all of it"},
        {"1.0 until close", "HTTP/1.0 200 OK\r\n\r\nall of it", "all of it"},
        {"chunked",
         "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n",
         "abc"},
        {"interim",
         "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
         "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx",
         "x"},
        {"no reason", "HTTP/1.1 200\r\nContent-Length: 1\r\n\r\nx", "x"},
        {"no content", "HTTP/1.1 204 No Content\r\n\r\n", ""},
        {"not modified", "HTTP/1.1 304 Not Modified\r\nContent-Length: 10\r\n\r\n", ""},
    };
    for (const Good& good : cases) {
        ScriptedServer server(answer_with(good.bytes));
        boost::asio::io_context io;
        Client client(server.address());
        const auto reply = send(io, client, get("/"));
        ASSERT_TRUE(reply) << good.what << ": " << reply.error().message;
        EXPECT_EQ(reply->body, good.body) << good.what;
    }
}

TEST(Client, RefusesMalformedAndTruncatedReplies) {
    const std::pair<const char*, std::string> cases[] = {
        {"not HTTP", "hello\r\n\r\n"},
        {"wrong version", "HTTP/2.0 200 OK\r\n\r\n"},
        {"bad status", "HTTP/1.1 2x0 OK\r\n\r\n"},
        {"bad field", "HTTP/1.1 200 OK\r\nA b\r\n\r\n"},
        {"both framings",
         "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"},
        {"lengths differ", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx"},
        {"cut head", "HTTP/1.1 200 OK\r\nContent-Le"},
        {"cut body", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"},
        {"cut long body", "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\nhalf"},
        {"cut chunks", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab"},
        {"bad chunks", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"},
        {"large header", "HTTP/1.1 200 OK\r\nA: " + std::string(70'000, 'a') + "\r\n\r\n"},
        {"large body", "HTTP/1.1 200 OK\r\nContent-Length: 3000000\r\n\r\n"},
        {"upgrade", "HTTP/1.1 101 Switching Protocols\r\n\r\n"},
    };
    for (const auto& [what, bytes] : cases) {
        ScriptedServer server(answer_with(bytes));
        boost::asio::io_context io;
        Client client(server.address(), {.body_bytes_max = 2'000'000});
        const auto reply = send(io, client, get("/"));
        ASSERT_FALSE(reply) << what;
        EXPECT_EQ(reply.error().code, Code::BadUpstream) << what << ": " << reply.error().message;
    }
}

TEST(Client, BoundsBodiesOfUnknownLength) {
    ScriptedServer server([](RawSocket& socket, int) {
        socket.read_until("\r\n\r\n");
        socket.send("HTTP/1.1 200 OK\r\n\r\n");
        while (socket.send(std::string(100'000, 'x'))) {
        }
    });
    boost::asio::io_context io;
    Client client(server.address(), {.body_bytes_max = 2'000'000});
    EXPECT_EQ(send(io, client, get("/")).error().code, Code::BadUpstream);
}

TEST(Client, SaysThatNothingCameFromAServerThatCloses) {
    std::atomic<int> connections{0};
    ScriptedServer server([&](RawSocket& socket, int) {
        ++connections;
        socket.read_until("\r\n\r\n");
    });
    boost::asio::io_context io;
    Client client(server.address());
    const auto reply = send(io, client, get("/"));
    ASSERT_FALSE(reply);
    EXPECT_EQ(reply.error().code, Code::Unavailable);
    EXPECT_EQ(reply.error().reason, "sent_no_byte");
    EXPECT_EQ(connections, 1);
}

TEST(Client, TriesOnceMoreWhenAKeptConnectionHasDied) {
    // The first connection answers once and dies when it is asked again: the race nobody can see
    // coming.
    std::atomic<int> connections{0};
    ScriptedServer server([&](RawSocket& socket, int number) {
        ++connections;
        socket.read_until("\r\n\r\n");
        socket.send("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n" + std::to_string(number));
        socket.read_until("\r\n\r\n", 2s);
    });
    boost::asio::io_context io;
    Client client(server.address());
    EXPECT_EQ(send(io, client, get("/")).value().body, "0");
    EXPECT_EQ(send(io, client, get("/")).value().body, "1");
    EXPECT_EQ(connections, 2);
}

TEST(Client, LeavesAKeptConnectionThatWasClosed) {
    std::atomic<int> closed{0};
    ScriptedServer server([&](RawSocket& socket, int number) {
        socket.read_until("\r\n\r\n");
        socket.send("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n" + std::to_string(number));
        socket.close();
        ++closed;
    });
    boost::asio::io_context io;
    Client client(server.address());
    for (int i = 0; i < 3; ++i) {
        EXPECT_EQ(send(io, client, get("/")).value().body, std::to_string(i));
        ASSERT_TRUE(eventually([&] { return closed == i + 1; }));
        io.run_for(5ms);
    }
}

TEST(Client, DoesNotKeepWhatTheServerCloses) {
    ScriptedServer server([](RawSocket& socket, int number) {
        socket.read_until("\r\n\r\n");
        socket.send("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1\r\n\r\n" +
                    std::to_string(number));
        socket.read_some(1s);
    });
    boost::asio::io_context io;
    Client client(server.address());
    EXPECT_EQ(send(io, client, get("/")).value().body, "0");
    EXPECT_EQ(send(io, client, get("/")).value().body, "1");
}

TEST(Client, DoesNotReuseAConnectionWithBytesTooMany) {
    ScriptedServer server([](RawSocket& socket, int number) {
        socket.read_until("\r\n\r\n");
        socket.send("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n" + std::to_string(number) +
                    "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison");
        socket.read_some(1s);
    });
    boost::asio::io_context io;
    Client client(server.address());
    EXPECT_EQ(send(io, client, get("/")).value().body, "0");
    EXPECT_EQ(send(io, client, get("/")).value().body, "1");
}

TEST(Client, ReadsTheAnswerOfAServerThatRefusesALargeBody) {
    TestServer server({.body_bytes_max = 1000});
    boost::asio::io_context io;
    Client client(server.address);
    const auto reply = send(io, client, post_echo(std::string(5'000'000, 'x')));
    ASSERT_TRUE(reply) << reply.error().message;
    EXPECT_EQ(reply->status, 413);
}

Awaitable<void> count_task(Client* client, int* done) {
    *done += co_await client->send(get("/slow?20"), soon()) ? 1 : 0;
}

TEST(Client, KeepsAtMostSoManyIdleConnections) {
    TestServer server;
    boost::asio::io_context io;
    Client client(server.address, {.idle_connections_max = 2});
    runtime::TaskGroup group(io);
    int done = 0;
    for (int i = 0; i < 8; ++i) group.spawn("send", count_task(&client, &done));
    while (group.size() > 0) io.run_for(5ms);
    EXPECT_EQ(done, 8);
    EXPECT_TRUE(eventually([&] { return server.server.connections_approx() == 2; }));
}

}  // namespace
}  // namespace hearth::http
