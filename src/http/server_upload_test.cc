// Bodies that the handler reads as they come.
#include <gtest/gtest.h>
#include <poll.h>

#include <sstream>

#include "http/server_fixture.h"

namespace hearth::http {
namespace {

using namespace std::chrono_literals;
using testing::eventually;
using testing::RawSocket;
using testing::status_of;
using testing::TestServer;

std::string head_of(const std::string& path, const std::string& fields) {
    return "POST " + path + " HTTP/1.1\r\nHost: h\r\n" + fields + "\r\n\r\n";
}

std::string bytes_of(std::size_t size) {
    std::string bytes(size, '\0');
    for (std::size_t i = 0; i < size; ++i) bytes[i] = char((i * i) >> 3);
    return bytes;
}

std::string answer_to(const std::string& bytes) {
    std::uint32_t sum = 0;
    for (const char byte : bytes) sum = sum * 31 + std::uint8_t(byte);
    return std::to_string(bytes.size()) + " " + std::to_string(sum);
}

std::string in_chunks(std::string_view bytes, std::size_t size) {
    std::string out;
    while (!bytes.empty()) {
        const std::string_view piece = bytes.substr(0, size);
        std::ostringstream length;
        length << std::hex << piece.size();
        out.append(length.str()).append("\r\n").append(piece).append("\r\n");
        bytes.remove_prefix(piece.size());
    }
    return out + "0\r\n\r\n";
}

TEST(Upload, MayBeLargerThanAnyOtherBodyAndLeavesTheConnectionOpen) {
    const TestServer server({.body_bytes_max = 1 << 20});
    const std::string bytes = bytes_of(20 << 20);
    RawSocket socket = server.connect();
    for (int i = 0; i < 2; ++i) {
        socket.send(head_of("/upload", "Content-Length: " + std::to_string(bytes.size())) + bytes);
        EXPECT_EQ(socket.read_reply().second, answer_to(bytes));
        socket.send(head_of("/upload", "Transfer-Encoding: chunked") + in_chunks(bytes, 70'001));
        EXPECT_EQ(socket.read_reply().second, answer_to(bytes));
        socket.send(head_of("/upload", "Content-Length: 0"));
        EXPECT_EQ(socket.read_reply().second, answer_to(""));
        socket.send(head_of("/echo", "Content-Length: 2") + "hi");
        EXPECT_EQ(socket.read_reply().second, "hi");
    }
    socket.send(head_of("/echo", "Content-Length: 2000000"));
    EXPECT_EQ(status_of(socket.read_reply().first), 413);
}

TEST(Upload, MayComeTogetherWithTheNextRequest) {
    const TestServer server;
    RawSocket socket = server.connect();
    socket.send(head_of("/upload", "Content-Length: 3") + "one" +
                head_of("/upload", "Transfer-Encoding: chunked") + in_chunks("two", 2) +
                head_of("/echo", "Content-Length: 5") + "three");
    EXPECT_EQ(socket.read_reply().second, answer_to("one"));
    EXPECT_EQ(socket.read_reply().second, answer_to("two"));
    EXPECT_EQ(socket.read_reply().second, "three");
}

TEST(Upload, IsAskedForWhenTheHandlerReads) {
    const TestServer server;
    RawSocket socket = server.connect();
    socket.send(head_of("/upload", "Expect: 100-continue\r\nContent-Length: 5"));
    EXPECT_TRUE(socket.read_until("\r\n\r\n").starts_with("HTTP/1.1 100 "));
    socket.send("hello");
    EXPECT_EQ(socket.read_reply().second, answer_to("hello"));
    socket.send(head_of("/upload/refused", "Expect: 100-continue\r\nContent-Length: 5"));
    const std::string head = socket.read_reply().first;
    EXPECT_EQ(status_of(head), 403);
    EXPECT_TRUE(head.contains("Connection: close")) << head;
}

TEST(Upload, ThatNobodyReadsEndsTheConnectionAfterTheAnswer) {
    const TestServer server;
    RawSocket socket = server.connect();
    socket.send(head_of("/upload/refused", "Content-Length: 100000") + bytes_of(50'000));
    EXPECT_EQ(status_of(socket.read_reply().first), 403);
    EXPECT_EQ(socket.read_to_end(), "");
}

TEST(Upload, ThatComesTooSlowlyIsCut) {
    const TestServer server({.body_time = 200ms});
    RawSocket socket = server.connect();
    socket.send(head_of("/upload", "Content-Length: 100"));
    for (int i = 0; i < 40; ++i) {
        socket.send("x");
        ::poll(nullptr, 0, 10);
    }
    const auto [head, body] = socket.read_reply();
    EXPECT_EQ(status_of(head), 400);
    EXPECT_EQ(body, "the body comes too slowly");
}

TEST(Upload, ThatIsMalformedIsRefused) {
    const TestServer server;
    RawSocket socket = server.connect();
    socket.send(head_of("/upload", "Transfer-Encoding: chunked") + "3\r\none\r\nxyz\r\n");
    EXPECT_EQ(socket.read_reply().second, "the chunked body is malformed");
    RawSocket other = server.connect();
    other.send(head_of("/upload", "Content-Encoding: gzip\r\nContent-Length: 3") + "abc");
    EXPECT_EQ(status_of(other.read_reply().first), 415);
}

TEST(Upload, WhoseSenderLeavesEndsTheHandler) {
    const TestServer server;
    {
        RawSocket socket = server.connect();
        socket.send(head_of("/upload", "Content-Length: 100000") + bytes_of(50'000));
        EXPECT_TRUE(eventually([&] { return server.seen.calls == 1; }));
    }
    EXPECT_TRUE(eventually([&] { return server.seen.destroyed == 1; }));
}

}  // namespace
}  // namespace hearth::http
