// What the server itself refuses: malformed messages and those above a limit.
#include <gtest/gtest.h>

#include <thread>

#include "http/server.h"
#include "http/server_fixture.h"

namespace hearth::http {
namespace {

using namespace std::chrono_literals;
using testing::gzip;
using testing::post;
using testing::RawSocket;
using testing::status_of;
using testing::TestServer;

TEST(Server, RefusesGzipThatUnpacksToTooMuch) {
    TestServer server({.body_bytes_max = 1 << 20});
    const std::string bomb = gzip(std::string(64 << 20, '\0'));
    ASSERT_LT(bomb.size(), 1U << 20);
    EXPECT_EQ(status_of(server.exchange(post(bomb, "Content-Encoding: gzip\r\n"))), 413);
    EXPECT_EQ(server.seen.calls, 0);
}

TEST(Server, RefusesBrokenGzip) {
    TestServer server;
    const std::string good = gzip("some text that is packed");
    EXPECT_EQ(status_of(server.exchange(post("not gzip", "Content-Encoding: gzip\r\n"))), 400);
    EXPECT_EQ(status_of(server.exchange(
                  post(good.substr(0, good.size() - 3), "Content-Encoding: gzip\r\n"))),
              400);
    EXPECT_EQ(server.seen.calls, 0);
}

TEST(Server, TakesABodyAtTheLimitAndRefusesOneAbove) {
    TestServer server({.body_bytes_max = 100'000});
    RawSocket socket = server.connect();
    socket.send(post(std::string(100'000, 'x')));
    EXPECT_EQ(socket.read_reply().second.size(), 100'000U);
    EXPECT_EQ(status_of(server.exchange(post(std::string(100'001, 'x')))), 413);
    const std::string chunked =
        "POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n";
    EXPECT_EQ(status_of(server.exchange(chunked + "186A1\r\n" + std::string(100'001, 'x'))), 413);
    socket.send(chunked + "186A0\r\n" + std::string(100'000, 'x') + "\r\n0\r\n\r\n");
    EXPECT_EQ(socket.read_reply().second.size(), 100'000U);
}

TEST(Server, LetsAnUploaderReadWhyItIsRefused) {
    TestServer server({.body_bytes_max = 1000});
    RawSocket socket = server.connect();
    socket.send("POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 8000000\r\n\r\n");
    const std::string piece(1'000'000, 'x');
    for (int i = 0; i < 8; ++i) socket.send(piece);
    EXPECT_EQ(status_of(socket.read_reply().first), 413);
}

TEST(Server, ItsOwnAnswersHaveTheBodyThatItIsTold) {
    TestServer server({.header_bytes_max = 1 << 10,
                       .body_bytes_max = 1000,
                       .body_time = 100ms,
                       .error_body = [](int status, std::string_view message, const Request* head) {
                           if (head == nullptr) return std::string();
                           return std::to_string(status) + head->path + std::string(message);
                       }});
    const auto told = [&](std::string_view bytes) {
        RawSocket socket = server.connect();
        socket.send(bytes);
        return socket.read_reply().second;
    };
    EXPECT_EQ(told(post(std::string(1001, 'x'))), "413/echothe body is too large");
    const std::string chunked =
        "POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n";
    EXPECT_EQ(told(chunked + "x\r\n"), "400/echothe chunked body is malformed");
    EXPECT_EQ(told("POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nab"),
              "408/echothe request did not arrive in time");
    // Of the request before, nothing is known.
    EXPECT_TRUE(told("GET / HTTP/1.1\r\nX: " + std::string(2000, 'x')).starts_with("{\"error\":"));
    RawSocket socket = server.connect();
    socket.send(post("fine"));
    EXPECT_EQ(socket.read_reply().second, "fine");
    socket.send("nonsense\r\n\r\n");
    EXPECT_TRUE(socket.read_reply().second.starts_with("{\"error\":"));
}

struct Bad {
    const char* what;
    std::string bytes;
    int status;
};

TEST(Server, RefusesMalformedMessagesWithTheRightStatus) {
    TestServer server({.header_bytes_max = 8 << 10});
    const std::string get = "GET / HTTP/1.1\r\n";
    const std::string host = get + "Host: h\r\n";
    const std::string put = "POST /echo HTTP/1.1\r\nHost: h\r\n";
    const Bad cases[] = {
        {"no host", get + "\r\n", 400},
        {"two hosts", host + "Host: h\r\n\r\n", 400},
        {"bad host", get + "Host: a b\r\n\r\n", 400},
        {"lengths differ", put + "Content-Length: 1\r\nContent-Length: 2\r\n\r\n", 400},
        {"length list", put + "Content-Length: 1, 2\r\n\r\n", 400},
        {"signed length", put + "Content-Length: +1\r\n\r\n", 400},
        {"empty length", put + "Content-Length: \r\n\r\n", 400},
        {"huge length", put + "Content-Length: 99999999999999999999\r\n\r\n", 400},
        {"both framings", put + "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400},
        {"both, other order", put + "Transfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n", 400},
        {"chunked twice", put + "Transfer-Encoding: chunked, chunked\r\n\r\n", 400},
        {"unknown coding", put + "Transfer-Encoding: gzip, chunked\r\n\r\n", 501},
        {"chunked look-alike", put + "Transfer-Encoding: xchunked\r\n\r\n", 501},
        {"coding with 1.0", "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 400},
        {"folded field", host + "A: b\r\n c\r\n\r\n", 400},
        {"folded first field", get + " Host: h\r\n\r\n", 400},
        {"space before colon", get + "Host : h\r\n\r\n", 400},
        {"no colon", host + "Field\r\n\r\n", 400},
        {"empty name", host + ": x\r\n\r\n", 400},
        {"bare LF", "GET / HTTP/1.1\nHost: h\n\n", 400},
        {"bare LF in a field", host + "A: b\nC: d\r\n\r\n", 400},
        {"bare CR", host + "A: b\rc\r\n\r\n", 400},
        {"NUL", host + std::string("A: b\0c\r\n\r\n", 10), 400},
        {"control character", host + "A: \x01\r\n\r\n", 400},
        {"two spaces", "GET  / HTTP/1.1\r\nHost: h\r\n\r\n", 400},
        {"no version", "GET /\r\n\r\n", 400},
        {"lower-case version", "GET / http/1.1\r\nHost: h\r\n\r\n", 400},
        {"version 2", "GET / HTTP/2.0\r\nHost: h\r\n\r\n", 505},
        {"version 0.9", "GET / HTTP/0.9\r\n\r\n", 505},
        {"HTTP/2 greeting", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505},
        {"bad method", "G@T / HTTP/1.1\r\nHost: h\r\n\r\n", 400},
        {"CONNECT", "CONNECT a:1 HTTP/1.1\r\nHost: h\r\n\r\n", 501},
        {"relative target", "GET a HTTP/1.1\r\nHost: h\r\n\r\n", 400},
        {"star for GET", "GET * HTTP/1.1\r\nHost: h\r\n\r\n", 400},
        {"fragment", "GET /a#b HTTP/1.1\r\nHost: h\r\n\r\n", 400},
        {"encoded NUL", "GET /a%00 HTTP/1.1\r\nHost: h\r\n\r\n", 400},
        {"bad escape", "GET /a%zz HTTP/1.1\r\nHost: h\r\n\r\n", 400},
        {"cut escape", "GET /a%2 HTTP/1.1\r\nHost: h\r\n\r\n", 400},
        {"raw byte in the target", "GET /\xC3\xA4 HTTP/1.1\r\nHost: h\r\n\r\n", 400},
        {"unknown expectation", put + "Expect: more\r\nContent-Length: 1\r\n\r\n", 417},
        {"unknown content coding", put + "Content-Encoding: br\r\nContent-Length: 1\r\n\r\n", 415},
        {"coded twice", put + "Content-Encoding: gzip, gzip\r\nContent-Length: 1\r\n\r\n", 415},
        {"long target", "GET /" + std::string(9'000, 'a') + " HTTP/1.1\r\n\r\n", 414},
        {"large header", host + "A: " + std::string(9'000, 'a') + "\r\n\r\n", 431},
        {"bad chunk size", put + "Transfer-Encoding: chunked\r\n\r\nx\r\n", 400},
        {"chunk size overflow", put + "Transfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n",
         400},
        {"chunk without CRLF", put + "Transfer-Encoding: chunked\r\n\r\n1\r\nab\r\n", 400},
        {"chunk with bare LF", put + "Transfer-Encoding: chunked\r\n\r\n1\na\r\n", 400},
        {"bad trailer", put + "Transfer-Encoding: chunked\r\n\r\n0\r\n bad\r\n\r\n", 400},
        {"TLS greeting", "\x16\x03\x01\x02", 400},
        {"empty lines only", "\r\n\r\n\r\n\r\n\r\n\r\n", 400},
    };
    for (const Bad& bad : cases) {
        const std::string reply = server.exchange(bad.bytes);
        EXPECT_EQ(status_of(reply), bad.status) << bad.what << "\n" << reply;
        EXPECT_TRUE(reply.contains("\r\nConnection: close\r\n")) << bad.what;
        EXPECT_TRUE(reply.contains("{\"error\":{\"message\":\"")) << bad.what;
        EXPECT_TRUE(
            reply.ends_with("\"type\":\"invalid_request_error\",\"param\":null,\"code\":null}}"))
            << bad.what;
    }
    EXPECT_EQ(server.seen.calls, 0);
}

TEST(Server, RefusesTooManyFields) {
    TestServer server;
    std::string request = "GET / HTTP/1.1\r\nHost: h\r\n";
    for (int i = 0; i < 300; ++i) request += "A: b\r\n";
    EXPECT_EQ(status_of(server.exchange(request + "\r\n")), 431);
}

TEST(Server, AcceptsOddButValidMessages) {
    TestServer server;
    RawSocket socket = server.connect();
    const std::string good[] = {
        "\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n",
        "GET / HTTP/1.1\r\nhOST: [::1]:80\r\n\r\n",
        "GET / HTTP/1.1\r\nHost:\r\n\r\n",
        "GET / HTTP/1.2\r\nHost: h\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\nX: \xC3\xA4 \t x\r\n\r\n",
        "BREW / HTTP/1.1\r\nHost: h\r\n\r\n",
        "OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx",
        "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: CHUNKED\r\n\r\n0001 "
        ";x\r\nx\r\n000\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n",
    };
    for (const std::string& request : good) {
        socket.send(request);
        EXPECT_EQ(status_of(socket.read_reply().first), 200) << request;
    }
}

TEST(Server, AnswersTheRequestsBeforeABadOne) {
    TestServer server;
    RawSocket socket = server.connect();
    socket.send(post("good") + "BAD\r\n\r\n");
    EXPECT_EQ(socket.read_reply().second, "good");
    EXPECT_EQ(status_of(socket.read_reply().first), 400);
    EXPECT_EQ(socket.read_to_end(), "");
}

}  // namespace
}  // namespace hearth::http
