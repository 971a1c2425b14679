#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

#include <atomic>

#include "http/server_fixture.h"
#include "http/tls_fixture.h"
#include "testing/full_listener.h"

namespace hearth::http {
namespace {

using namespace std::chrono_literals;
using namespace hearth::http::testing;
using hearth::testing::FullListener;

// Fails in the time of `limits`, with the connection closed.
Error limited(const std::string& address, ClientOptions options, CallLimits limits,
              std::string body = "") {
    Calling calling(address, std::move(options));
    const auto begun = std::chrono::steady_clock::now();
    const auto reply = hearth::testing::run(calling.io,
                                            calling.client.send({.method = Method::Post,
                                                                 .target = "/",
                                                                 .headers = {},
                                                                 .body = std::move(body),
                                                                 .limits = limits},
                                                                Deadline::after(20s)),
                                            30s);
    EXPECT_LT(std::chrono::steady_clock::now() - begun, 10s);
    EXPECT_EQ(calling.client.connections_open(), 0U);
    EXPECT_FALSE(reply);
    return reply ? Error{.message = "none"} : reply.error();
}

TEST(ClientLimits, BoundConnecting) {
    const FullListener full;
    const Error late = Calling(full.address(), {.connect_time = 60ms}).error();
    EXPECT_EQ(late.code, Code::Unavailable);
    EXPECT_EQ(late.reason, "connect_timeout");
    EXPECT_TRUE(late.message.contains(full.address())) << late.message;
    EXPECT_FALSE(Error(late).told().message.contains("127.0.0.1"));
    const auto own = Calling(full.address()).get("/", Deadline::after(60ms));
    ASSERT_FALSE(own);
    EXPECT_EQ(own.error().code, Code::DeadlineExceeded);
    EXPECT_EQ(own.error().reason, "total_timeout");
}

TEST(ClientLimits, BoundTheTlsHandshake) {
    ScriptedServer silent([](RawSocket& socket, int) { stay(socket); });
    ClientOptions options = trusting();
    options.connect_time = 60ms;
    Calling calling(silent.address(), options);
    const Error late = calling.error();
    EXPECT_EQ(late.code, Code::Unavailable);
    EXPECT_EQ(late.reason, "connect_timeout");
    EXPECT_TRUE(late.message.contains("TLS handshake")) << late.message;
    EXPECT_TRUE(Error(late).told().message.contains("TLS handshake with it took"));
    EXPECT_EQ(calling.client.connections_open(), 0U);
}

TEST(ClientLimits, BoundTheHead) {
    const auto script = [](auto& peer) {
        peer.read_until("\r\n\r\n");
        stay(peer);
    };
    with_and_without_tls(script, [](const std::string& address, const ClientOptions& options) {
        const Error error = limited(address, options, {.header = 60ms});
        EXPECT_EQ(error.code, Code::Unavailable);
        EXPECT_EQ(error.reason, "header_timeout");
        EXPECT_TRUE(error.message.contains("60 ms")) << error.message;
    });
}

TEST(ClientLimits, BoundAHeadThatTrickles) {
    const auto script = [](auto& peer) {
        peer.read_until("\r\n\r\n");
        peer.send("HTTP/1.1 200 OK\r\nX: ");
        while (peer.send("x")) ::poll(nullptr, 0, 5);
    };
    with_and_without_tls(script, [](const std::string& address, const ClientOptions& options) {
        EXPECT_EQ(limited(address, options, {.header = 100ms}).reason, "header_timeout");
    });
}

TEST(ClientLimits, BoundSendingToAServerThatTakesNothing) {
    std::atomic<bool> done{false};
    const auto script = [&done](auto& peer) {
        peer.read_until("\r\n\r\n");
        while (!done) ::poll(nullptr, 0, 5);
    };
    with_and_without_tls(script, [&](const std::string& address, const ClientOptions& options) {
        done = false;
        const Error error =
            limited(address, options, {.header = 100ms}, std::string(64 << 20, 'b'));
        EXPECT_EQ(error.reason, "header_timeout");
        EXPECT_TRUE(error.message.contains("took nothing")) << error.message;
        done = true;
    });
}

TEST(ClientLimits, BoundTheFirstByteOfTheBody) {
    const auto script = [](auto& peer) {
        peer.read_until("\r\n\r\n");
        peer.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n");
        stay(peer);
    };
    with_and_without_tls(script, [](const std::string& address, const ClientOptions& options) {
        const Error error = limited(address, options, {.first_byte = 60ms, .idle = 10s});
        EXPECT_EQ(error.code, Code::BadUpstream);
        EXPECT_EQ(error.reason, "first_byte_timeout");
    });
}

TEST(ClientLimits, BoundPausesInsideTheBody) {
    for (const std::string framing : {"Content-Length: 1000000", "Transfer-Encoding: chunked"}) {
        const auto script = [framing](auto& peer) {
            peer.read_until("\r\n\r\n");
            peer.send("HTTP/1.1 200 OK\r\n" + framing + "\r\n\r\n");
            peer.send("5\r\nhello\r\n");
            stay(peer);
        };
        with_and_without_tls(script, [](const std::string& address, const ClientOptions& options) {
            const Error error = limited(address, options, {.first_byte = 10s, .idle = 60ms});
            EXPECT_EQ(error.code, Code::BadUpstream);
            EXPECT_EQ(error.reason, "idle_timeout");
        });
    }
}

TEST(ClientLimits, DoNotEndAnAnswerThatGoesOn) {
    const auto script = [](auto& peer) {
        peer.read_until("\r\n\r\n");
        peer.send("HTTP/1.1 200 OK\r\nContent-Length: 40\r\n\r\n");
        for (int i = 0; i < 40; ++i) {
            ::poll(nullptr, 0, 15);
            peer.send("x");
        }
        stay(peer);
    };
    with_and_without_tls(script, [](const std::string& address, ClientOptions options) {
        options.limits = {.header = 400ms, .first_byte = 400ms, .idle = 400ms};
        const auto reply = Calling(address, options).get();
        ASSERT_TRUE(reply) << reply.error().message;
        EXPECT_EQ(reply->body, std::string(40, 'x'));
    });
}

TEST(ClientLimits, OfACallTakeThePlaceOfTheClients) {
    ScriptedServer server([](RawSocket& socket, int) {
        socket.read_until("\r\n\r\n");
        ::poll(nullptr, 0, 150);
        socket.send(reply_with("late"));
    });
    ClientOptions options;
    options.limits = {.header = 50ms};
    Calling calling(server.address(), options);
    EXPECT_EQ(calling.error().reason, "header_timeout");
    const auto reply = hearth::testing::run(
        calling.io,
        calling.client.send({.target = "/", .limits = CallLimits{}}, Deadline::after(20s)));
    EXPECT_TRUE(reply);
}

Awaitable<Result<void>> read_slowly(std::string* all, std::string_view piece) {
    all->append(piece);
    CO_TRY_VOID(co_await sleep_until(Deadline::after(120ms)));
    co_return Result<void>();
}

TEST(ClientLimits, DoNotCountTheTimeOfTheReader) {
    ScriptedServer server([](RawSocket& socket, int) {
        socket.read_until("\r\n\r\n");
        socket.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n");
        ::poll(nullptr, 0, 50);
        socket.send("1\r\nb\r\n0\r\n\r\n");
        stay(socket);
    });
    Calling calling(server.address());
    std::string all;
    const auto reply = hearth::testing::run(
        calling.io,
        calling.client.stream(
            {.target = "/", .limits = CallLimits{.idle = 80ms}}, Deadline::after(20s),
            [](const Reply&) { return Result<void>(); },
            [&all](std::string_view piece) { return read_slowly(&all, piece); }),
        20s);
    ASSERT_TRUE(reply) << reply.error().message;
    EXPECT_EQ(all, "ab");
}

struct Tokens {
    MovingLimit limit;
    std::string all;
    int tokens = 0;
};

// A "t" is a token, everything else a comment.
Awaitable<Result<void>> read_tokens(Tokens* tokens, std::string_view piece) {
    tokens->all.append(piece);
    // Those that came together are one piece.
    if (const auto count = std::ranges::count(piece, 't'); count > 0) {
        tokens->tokens += static_cast<int>(count);
        tokens->limit.set(Deadline::after(100ms), "next_token_timeout", "no token for 100 ms");
    }
    co_return Result<void>();
}

Result<Reply> stream_tokens(const std::string& address, const ClientOptions& options,
                            Tokens& tokens) {
    Calling calling(address, options);
    tokens.limit.set(Deadline::after(100ms), "first_token_timeout", "no token within 100 ms");
    auto reply = hearth::testing::run(
        calling.io,
        calling.client.stream(
            {.target = "/",
             .limits = CallLimits{.header = 10s, .first_byte = 10s, .idle = 10s},
             .moving_limit = &tokens.limit},
            Deadline::after(20s), [](const Reply&) { return Result<void>(); },
            [&tokens](std::string_view piece) { return read_tokens(&tokens, piece); }),
        20s);
    if (!reply) EXPECT_EQ(calling.client.connections_open(), 0U);
    return reply;
}

// Sends `tokens` tokens, one each 40 ms, and comments until the client leaves.
auto talk(int tokens) {
    return [tokens](auto& peer) {
        peer.read_until("\r\n\r\n");
        peer.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        for (int i = 0; i < tokens; ++i) {
            peer.send("1\r\nt\r\n");
            ::poll(nullptr, 0, 40);
        }
        while (peer.send("1\r\n:\r\n")) ::poll(nullptr, 0, 5);
    };
}

TEST(MovingLimit, BoundsTheFirstTokenAmongComments) {
    with_and_without_tls(talk(0), [](const std::string& address, const ClientOptions& options) {
        Tokens tokens;
        const auto reply = stream_tokens(address, options, tokens);
        ASSERT_FALSE(reply);
        EXPECT_EQ(reply.error().code, Code::BadUpstream);
        EXPECT_EQ(reply.error().reason, "first_token_timeout");
        EXPECT_EQ(reply.error().message, "no token within 100 ms");
        EXPECT_TRUE(tokens.all.contains(':'));
    });
}

TEST(MovingLimit, MovesWithEachToken) {
    with_and_without_tls(talk(8), [](const std::string& address, const ClientOptions& options) {
        Tokens tokens;
        const auto reply = stream_tokens(address, options, tokens);
        ASSERT_FALSE(reply);
        EXPECT_EQ(reply.error().reason, "next_token_timeout");
        EXPECT_EQ(tokens.tokens, 8);
    });
}

}  // namespace
}  // namespace hearth::http
