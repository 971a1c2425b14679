#include "http/server.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <regex>
#include <thread>

#include "http/server_fixture.h"

namespace hearth::http {
namespace {

using namespace std::chrono_literals;
using testing::eventually;
using testing::gzip;
using testing::post;
using testing::RawSocket;
using testing::status_of;
using testing::TestServer;
using testing::undated;

TEST(Server, AnswersByteForByte) {
    TestServer server;
    EXPECT_EQ(undated(server.exchange("GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")),
              "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n"
              "Connection: close\r\n\r\nok");
}

TEST(Server, SendsTheDate) {
    TestServer server;
    RawSocket socket = server.connect();
    socket.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    const std::string head = socket.read_reply().first;
    EXPECT_TRUE(std::regex_search(
        head,
        std::regex("\r\nDate: (Mon|Tue|Wed|Thu|Fri|Sat|Sun), [0-3][0-9] [A-Z][a-z]{2} 20[0-9]{2} "
                   "[0-2][0-9]:[0-5][0-9]:[0-6][0-9] GMT\r\n")))
        << head;
}

TEST(Server, KeepsTheConnectionForTheNextRequest) {
    TestServer server;
    RawSocket socket = server.connect();
    for (int i = 0; i < 3; ++i) {
        socket.send(post("body " + std::to_string(i)));
        const auto [head, body] = socket.read_reply();
        EXPECT_EQ(status_of(head), 200);
        EXPECT_FALSE(head.contains("Connection:"));
        EXPECT_EQ(body, "body " + std::to_string(i));
    }
}

TEST(Server, ClosesAfterHttp10UnlessAskedToKeep) {
    TestServer server;
    EXPECT_EQ(undated(server.exchange("GET / HTTP/1.0\r\n\r\n")),
              "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n"
              "Connection: close\r\n\r\nok");
    RawSocket socket = server.connect();
    for (int i = 0; i < 2; ++i) {
        socket.send("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n");
        const auto [head, body] = socket.read_reply();
        EXPECT_TRUE(head.contains("Connection: keep-alive\r\n")) << head;
        EXPECT_EQ(body, "ok");
    }
}

TEST(Server, AnswersPipelinedRequestsInOrder) {
    TestServer server;
    std::string requests;
    for (int i = 0; i < 200; ++i) requests += post(std::to_string(i));
    requests += "GET /slow?5 HTTP/1.1\r\nHost: h\r\n\r\n" + post("last", "Connection: close\r\n");
    RawSocket socket = server.connect();
    socket.send(requests);
    for (int i = 0; i < 200; ++i) EXPECT_EQ(socket.read_reply().second, std::to_string(i));
    EXPECT_EQ(socket.read_reply().second, "slow");
    EXPECT_EQ(socket.read_reply().second, "last");
    EXPECT_EQ(socket.read_to_end(), "");
}

TEST(Server, SendsGatheredAnswersWhenALaterHandlerWaits) {
    TestServer server;
    RawSocket socket = server.connect();
    socket.send(post("first") + "GET /slow?100000 HTTP/1.1\r\nHost: h\r\n\r\n");
    EXPECT_EQ(socket.read_reply().second, "first");
}

TEST(Server, ReadsRequestsCutAnywhere) {
    TestServer server;
    const std::string whole =
        "POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
        "4;a=b\r\nWiki\r\n5\r\npedia\r\n0\r\nTrailer: x\r\n\r\n";
    RawSocket socket = server.connect();
    for (std::size_t cut = 1; cut < whole.size(); cut += 3) {
        socket.send(whole.substr(0, cut));
        ::poll(nullptr, 0, 1);
        socket.send(whole.substr(cut));
        EXPECT_EQ(socket.read_reply().second, "Wikipedia") << cut;
    }
}

TEST(Server, DecodesThePathAndKeepsTheRest) {
    TestServer server;
    RawSocket socket = server.connect();
    const auto target = [&](const std::string& text) {
        socket.send("GET " + text + " HTTP/1.1\r\nHost: h\r\n\r\n");
        return socket.read_reply().second;
    };
    EXPECT_EQ(target("/targe%74?a=%20b"), "/target|a=%20b|/targe%74?a=%20b");
    EXPECT_EQ(target("http://other/target?x"), "/target|x|http://other/target?x");
    EXPECT_EQ(target("/target?"), "/target||/target?");
    EXPECT_EQ(target("http://other"), "ok");
}

TEST(Server, ShowsFieldsAsTheyCame) {
    TestServer server;
    RawSocket socket = server.connect();
    socket.send("GET /fields HTTP/1.1\r\nHost:h\r\nX-A:  1 \t\r\nx-a:2\r\nEmpty:\r\n\r\n");
    EXPECT_EQ(socket.read_reply().second, "Host=h;X-A=1;x-a=2;Empty=;");
}

TEST(Server, AnswersHeadWithoutABody) {
    TestServer server;
    EXPECT_EQ(undated(server.exchange("HEAD / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")),
              "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n"
              "Connection: close\r\n\r\n");
    EXPECT_EQ(
        undated(server.exchange("HEAD /stream HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")),
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n"
        "Connection: close\r\n\r\n");
}

TEST(Server, SendsNoBodyWithNoContent) {
    TestServer server;
    EXPECT_EQ(undated(server.exchange(
                  "GET /no-content HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")),
              "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n");
}

TEST(Server, StreamsInChunks) {
    TestServer server;
    EXPECT_EQ(
        undated(server.exchange("GET /stream HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")),
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n"
        "Connection: close\r\n\r\n5\r\naaaaa\r\n5\r\nbbbbb\r\n5\r\nccccc\r\n0\r\n\r\n");
}

TEST(Server, StreamsToHttp10UntilTheEnd) {
    TestServer server;
    EXPECT_EQ(undated(server.exchange("GET /stream HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")),
              "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
              "aaaaabbbbbccccc");
}

TEST(Server, LetsNoFieldOfTheHandlerBreakTheReply) {
    TestServer server;
    EXPECT_EQ(
        undated(server.exchange("GET /injection HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")),
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nX-Good: yes\r\nContent-Length: 2\r\n"
        "Connection: close\r\n\r\nok");
}

TEST(Server, AsksForTheBodyThatIsHeldBack) {
    TestServer server;
    RawSocket socket = server.connect();
    const std::string head =
        "POST /echo HTTP/1.1\r\nHost: h\r\nExpect: 100-Continue\r\n"
        "Content-Length: 4\r\n\r\n";
    socket.send(head);
    EXPECT_EQ(socket.read_until("\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n");
    socket.send("body");
    EXPECT_EQ(socket.read_reply().second, "body");
    socket.send(head + "soon");  // nothing is held back: no interim reply
    const auto [reply, body] = socket.read_reply();
    EXPECT_EQ(status_of(reply), 200);
    EXPECT_EQ(body, "soon");
}

TEST(Server, UnpacksGzip) {
    TestServer server;
    RawSocket socket = server.connect();
    std::string text;
    for (int i = 0; i < 50'000; ++i) text += "line " + std::to_string(i * 7919 % 1000) + "\n";
    socket.send(post(gzip(text), "Content-Encoding: gzip\r\n"));
    EXPECT_EQ(socket.read_reply().second, text);
    socket.send(post(gzip("two ") + gzip("members"), "Content-Encoding: x-gzip\r\n"));
    EXPECT_EQ(socket.read_reply().second, "two members");
    socket.send(post("plain", "Content-Encoding: identity\r\n"));
    EXPECT_EQ(socket.read_reply().second, "plain");
}

TEST(Server, AnswersForAHandlerThatThrowsOrSaysNothing) {
    TestServer server;
    RawSocket socket = server.connect();
    for (const char* path : {"/throw", "/silent"}) {
        socket.send("GET " + std::string(path) + " HTTP/1.1\r\nHost: h\r\n\r\n");
        const auto [head, body] = socket.read_reply();
        EXPECT_EQ(status_of(head), 500);
        EXPECT_TRUE(body.contains("server_error"));
    }
}

TEST(Server, CutsAStreamWhoseHandlerThrows) {
    TestServer server;
    const std::string reply = server.exchange("GET /throw-late HTTP/1.1\r\nHost: h\r\n\r\n");
    EXPECT_TRUE(reply.ends_with("4\r\nhalf\r\n")) << reply;
}

TEST(Server, SendsLargeBodies) {
    TestServer server;
    RawSocket socket = server.connect();
    socket.send("GET /big HTTP/1.1\r\nHost: h\r\n\r\n");
    ::poll(nullptr, 0, 20);
    EXPECT_TRUE(socket.read_reply().second == std::string(8 << 20, 'b'));
    const std::string large(5'000'000, 'q');
    std::thread sender([&] { socket.send(post(large)); });
    EXPECT_TRUE(socket.read_reply().second == large);
    sender.join();
}

TEST(Server, ClosesSilentConnections) {
    TestServer server({.idle_time = 50ms});
    RawSocket fresh = server.connect();
    EXPECT_EQ(fresh.read_to_end(), "");
    RawSocket used = server.connect();
    used.send(post("x"));
    used.read_reply();
    EXPECT_EQ(used.read_to_end(), "");
}

TEST(Server, CutsSlowHeaders) {
    TestServer server({.header_time = 80ms});
    RawSocket socket = server.connect();
    const auto begin = std::chrono::steady_clock::now();
    std::thread sender([&] {
        for (const char c : std::string("GET / HTTP/1.1\r\nHost: hhhhhhhhhhhhhhhhhhhh")) {
            if (!socket.send(std::string(1, c))) return;
            ::poll(nullptr, 0, 10);
        }
    });
    EXPECT_EQ(status_of(socket.read_reply().first), 408);
    EXPECT_LT(std::chrono::steady_clock::now() - begin, 350ms);
    sender.join();
}

TEST(Server, CutsSlowBodies) {
    TestServer server({.body_time = 80ms});
    RawSocket socket = server.connect();
    socket.send("POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nabc");
    const std::string reply = socket.read_to_end().value_or("");
    EXPECT_EQ(status_of(reply), 408) << reply;
}

TEST(Server, CutsSlowReaders) {
    TestServer server({.write_time = 80ms});
    RawSocket socket = server.connect();
    socket.send("GET /flood HTTP/1.1\r\nHost: h\r\n\r\n");
    EXPECT_TRUE(eventually([&] { return server.seen.write_errors == 1; }));
    EXPECT_TRUE(eventually([&] { return server.server.connections_approx() == 0; }));
}

TEST(Server, KeepsSlowReadersThatMakeProgress) {
    TestServer server({.write_time = 1000ms});
    RawSocket socket = server.connect();
    socket.send("GET /big HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
    std::size_t size = 0;
    for (int i = 0; i < 30; ++i) {
        ::poll(nullptr, 0, 50);
        size += socket.read_some()->size();
    }
    size += socket.read_to_end().value_or("").size();
    EXPECT_GT(size, 8U << 20);
}

TEST(Server, CancelsTheHandlerOfAClientThatLeaves) {
    TestServer server;
    RawSocket socket = server.connect();
    socket.send("GET /slow?100000 HTTP/1.1\r\nHost: h\r\n\r\n");
    ASSERT_TRUE(eventually([&] { return server.seen.calls == 1; }));
    socket.close();
    EXPECT_TRUE(eventually([&] { return server.seen.destroyed == 1; }));
    EXPECT_EQ(server.seen.finished, 0);
    EXPECT_TRUE(eventually([&] { return server.server.connections_approx() == 0; }));
}

TEST(Server, AnswersAClientThatOnlyStopsSending) {
    TestServer server;
    RawSocket socket = server.connect();
    socket.send(post("x") + post("y"));
    socket.end_sending();
    const std::string all = socket.read_to_end().value_or("");
    EXPECT_TRUE(all.contains("\r\n\r\nx") && all.contains("\r\n\r\ny")) << all;
}

TEST(Server, TurnsConnectionsAwayAboveTheLimit) {
    TestServer server({.connections_max = 2});
    RawSocket first = server.connect();
    RawSocket second = server.connect();
    ASSERT_TRUE(eventually([&] { return server.server.connections_approx() == 2; }));
    RawSocket third = server.connect();
    EXPECT_EQ(status_of(third.read_to_end().value_or("")), 503);
    first.close();
    ASSERT_TRUE(eventually([&] { return server.server.connections_approx() == 1; }));
    RawSocket fourth = server.connect();
    fourth.send(post("x"));
    EXPECT_EQ(fourth.read_reply().second, "x");
}

TEST(Server, FinishesRequestsInFlightWhenItStops) {
    TestServer server;
    RawSocket idle = server.connect();
    idle.send(post("x"));
    idle.read_reply();
    RawSocket busy = server.connect();
    busy.send("GET /slow?100 HTTP/1.1\r\nHost: h\r\n\r\n");
    ASSERT_TRUE(eventually([&] { return server.seen.calls == 2; }));
    std::thread stopper([&] { server.server.stop(5s); });
    EXPECT_EQ(idle.read_to_end(), "");
    const auto [head, body] = busy.read_reply();
    EXPECT_EQ(body, "slow");
    EXPECT_TRUE(head.contains("Connection: close\r\n"));
    EXPECT_EQ(busy.read_to_end(), "");
    stopper.join();
    EXPECT_FALSE(server.connect().connected());
}

TEST(Server, ClosesEverythingAfterTheGrace) {
    TestServer server;
    RawSocket busy = server.connect();
    busy.send("GET /slow?100000 HTTP/1.1\r\nHost: h\r\n\r\n");
    ASSERT_TRUE(eventually([&] { return server.seen.calls == 1; }));
    const auto begin = std::chrono::steady_clock::now();
    server.server.stop(50ms);
    EXPECT_LT(std::chrono::steady_clock::now() - begin, 2s);
    EXPECT_EQ(server.seen.destroyed, 1);
    EXPECT_EQ(busy.read_to_end(), "");
}

TEST(Server, ServesSeveralShardsAndAddresses) {
    TestServer server({}, 2);
    const auto second = server.server.listen("[::1]:0");
    for (int i = 0; i < 20; ++i) {
        RawSocket socket = server.connect();
        socket.send(post(std::to_string(i)));
        EXPECT_EQ(socket.read_reply().second, std::to_string(i));
    }
    if (second) EXPECT_TRUE(second->starts_with("[::1]:"));
}

TEST(Server, ListensOnUnixSockets) {
    const std::string path = "/tmp/hearth-server-" + std::to_string(::getpid()) + ".sock";
    TestServer server({}, 2);
    {
        // A socket file left behind by a process that died.
        TestServer other;
        ASSERT_TRUE(other.server.listen("unix:" + path));
        EXPECT_EQ(server.server.listen("unix:" + path).error().code, Code::Unavailable);
        ASSERT_EQ(::rename(path.c_str(), (path + ".kept").c_str()), 0);
    }
    ASSERT_EQ(::rename((path + ".kept").c_str(), path.c_str()), 0);
    const auto address = server.server.listen("unix:" + path);
    ASSERT_TRUE(address) << address.error().message;
    EXPECT_EQ(*address, "unix:" + path);
    struct stat info{};
    ASSERT_EQ(::stat(path.c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 0777, 0600U);
    RawSocket socket = RawSocket::connect(*address);
    socket.send(post("over a unix socket"));
    EXPECT_EQ(socket.read_reply().second, "over a unix socket");
    server.server.stop(0ms);
    EXPECT_NE(::stat(path.c_str(), &info), 0);
}

TEST(Server, SaysWhatIsWrongWithAnAddress) {
    TestServer server;
    EXPECT_EQ(server.server.listen(server.address).error().code, Code::Unavailable);
    for (const char* bad : {"", "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536", "127.0.0.1:x",
                            "::1:80", "unix:", "a:b:c"}) {
        const auto listening = server.server.listen(bad);
        ASSERT_FALSE(listening) << bad;
        EXPECT_EQ(listening.error().code, Code::InvalidArgument) << bad;
    }
    EXPECT_EQ(server.server.listen("unix:/tmp").error().code, Code::InvalidArgument);
}

}  // namespace
}  // namespace hearth::http
