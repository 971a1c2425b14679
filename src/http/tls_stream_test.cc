#include <gtest/gtest.h>

#include <atomic>

#include "http/server_fixture.h"
#include "http/tls_fixture.h"
#include "runtime/task_group.h"

namespace hearth::http {
namespace {

using namespace std::chrono_literals;
using namespace hearth::http::testing;

// Passes bytes between a client and a server, and those for the client only up to a number and in
// pieces of one size.
class Relay {
  public:
    enum class AtTheEnd { Close, Stall };
    struct Options {
        std::size_t bytes_max = std::size_t(-1);
        std::size_t piece = std::size_t(-1);
        AtTheEnd at_the_end = AtTheEnd::Close;
    };
    Relay(std::string target, Options options)
        : target_(std::move(target)),
          options_(options),
          server_([this](RawSocket& client, int) { pass(client); }) {}

    const std::string& address() const { return server_.address(); }
    std::size_t passed() const { return passed_; }
    bool at_its_end() const { return at_its_end_; }

  private:
    void pass(RawSocket& client) {
        RawSocket server = RawSocket::connect(target_);
        const int on = 1;
        ::setsockopt(client.fd(), IPPROTO_TCP, 1 /* TCP_NODELAY */, &on, sizeof on);
        for (;;) {
            pollfd both[] = {{.fd = client.fd(), .events = POLLIN, .revents = 0},
                             {.fd = server.fd(), .events = POLLIN, .revents = 0}};
            if (at_its_end_) {
                if (options_.at_the_end == AtTheEnd::Stall) stay(client);
                return;
            }
            if (::poll(both, 2, 20'000) <= 0) return;
            if (both[0].revents != 0 && !forward(client, server)) return;
            if (both[1].revents != 0 && !cut(server, client)) return;
        }
    }
    static bool forward(RawSocket& from, RawSocket& to) {
        const auto bytes = from.read_some();
        return bytes && !bytes->empty() && to.send(*bytes);
    }
    bool cut(RawSocket& server, RawSocket& client) {
        const auto bytes = server.read_some();
        if (!bytes || bytes->empty()) return false;
        std::string_view left = *bytes;
        while (!left.empty() && passed_ < options_.bytes_max) {
            const std::size_t size =
                std::min({left.size(), options_.piece, options_.bytes_max - passed_});
            if (!client.send(left.substr(0, size))) return false;
            left.remove_prefix(size);
            passed_ += size;
        }
        at_its_end_ = passed_ >= options_.bytes_max;
        return true;
    }

    const std::string target_;
    const Options options_;
    std::atomic<std::size_t> passed_{0};
    std::atomic<bool> at_its_end_{false};
    ScriptedServer server_;
};

// A reply that only the end of TLS ends.
void answer_until_the_end(TlsPeer& peer, int) {
    if (!peer.accept()) return;
    peer.read_until("\r\n\r\n");
    peer.send("HTTP/1.1 200 OK\r\n\r\n" + std::string(500, 'x'));
    peer.say_goodbye();
}

std::size_t bytes_of_an_answer(const TlsServer& server) {
    Relay relay(server.address(), {});
    const auto reply = Calling(relay.address(), trusting()).get();
    EXPECT_TRUE(reply) << reply.error().message;
    return relay.passed();
}

TEST(TlsStream, ArrivesByteByByte) {
    TlsServer server(answer_until_the_end);
    Relay relay(server.address(), {.piece = 1});
    const auto reply = Calling(relay.address(), trusting()).get();
    ASSERT_TRUE(reply) << reply.error().message;
    EXPECT_EQ(reply->body, std::string(500, 'x'));
}

TEST(TlsStream, CutAnywhereIsAnError) {
    for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
        TlsServer server({.version_min = version, .version_max = version}, answer_until_the_end);
        // The goodbye is the last record: 24 bytes at least.
        const std::size_t whole = bytes_of_an_answer(server) - 24;
        for (std::size_t size = 1; size < whole; size += 23) {
            Relay relay(server.address(), {.bytes_max = size});
            const Error error = Calling(relay.address(), trusting()).error();
            EXPECT_TRUE(error.code == Code::Unavailable || error.code == Code::BadUpstream)
                << size << ": " << error.message;
            EXPECT_TRUE(error.code == Code::BadUpstream || error.reason == "tls_handshake" ||
                        error.reason == "sent_no_byte")
                << size << ": " << error.message;
        }
    }
}

TEST(TlsStream, MayStallAnywhereUntilTheDeadline) {
    TlsServer server(answer_until_the_end);
    const std::size_t whole = bytes_of_an_answer(server);
    for (std::size_t size = 1; size < whole - 24; size += 180) {
        Relay relay(server.address(), {.bytes_max = size, .at_the_end = Relay::AtTheEnd::Stall});
        Calling calling(relay.address(), trusting());
        const auto reply = calling.get("/", Deadline::after(60ms));
        ASSERT_FALSE(reply);
        EXPECT_EQ(reply.error().code, Code::DeadlineExceeded) << size << reply.error().message;
        EXPECT_EQ(reply.error().reason, "total_timeout");
        EXPECT_EQ(calling.client.connections_open(), 0U);
    }
}

Awaitable<void> get_task(Client* client, Code* code) {
    const auto reply = co_await client->send({.target = "/"}, Deadline::after(30s));
    *code = reply ? Code::Internal : reply.error().code;
}

TEST(TlsStream, MayBeCancelledAnywhere) {
    TlsServer server(answer_until_the_end);
    const std::size_t whole = bytes_of_an_answer(server);
    for (std::size_t size = 1; size < whole - 24; size += 180) {
        Relay relay(server.address(), {.bytes_max = size, .at_the_end = Relay::AtTheEnd::Stall});
        Calling calling(relay.address(), trusting());
        runtime::TaskGroup group(calling.io);
        Code code = Code::Internal;
        group.spawn("get", get_task(&calling.client, &code));
        while (!relay.at_its_end()) calling.io.run_for(1ms);
        calling.io.run_for(2ms);
        hearth::testing::run(calling.io, group.stop());
        EXPECT_EQ(code, Code::Cancelled) << size;
        EXPECT_EQ(calling.client.connections_open(), 0U);
    }
}

TEST(TlsStream, NeedsAGoodbyeOnlyWhereNothingElseSaysTheLength) {
    struct Ending {
        const char* what;
        std::string bytes;
        bool goodbye;
        bool good;
    };
    const std::string until_close = "HTTP/1.1 200 OK\r\n\r\nbody";
    const std::string length = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody";
    const std::string chunked =
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n";
    const Ending endings[] = {{"until close", until_close, true, true},
                              {"until close, cut", until_close, false, false},
                              {"length", length, false, true},
                              {"chunked", chunked, false, true}};
    for (const Ending& ending : endings) {
        TlsServer server([&](TlsPeer& peer, int) {
            if (!peer.accept()) return;
            peer.read_until("\r\n\r\n");
            peer.send(ending.bytes);
            if (ending.goodbye) peer.say_goodbye();
        });
        const auto reply = Calling(server.address(), trusting()).get();
        EXPECT_EQ(bool(reply), ending.good) << ending.what;
        if (reply) {
            EXPECT_EQ(reply->body, "body") << ending.what;
        } else {
            EXPECT_EQ(reply.error().code, Code::BadUpstream);
            EXPECT_TRUE(reply.error().message.contains("cut off")) << reply.error().message;
        }
    }
}

std::string pattern(std::size_t size) {
    std::string bytes(size, '\0');
    for (std::size_t i = 0; i < size; ++i) bytes[i] = char(i * 7 + i / 1000);
    return bytes;
}

TEST(TlsStream, CarriesLargeBodiesBothWays) {
    const std::string body = pattern(64 << 20);
    for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
        TlsServer server({.version_min = version, .version_max = version}, [&](TlsPeer& peer, int) {
            if (!peer.accept()) return;
            peer.read_until("\r\n\r\n");
            peer.send(reply_with(peer.read_exactly(body.size())));
            stay(peer);
        });
        Calling calling(server.address(), trusting());
        const auto reply = hearth::testing::run(
            calling.io,
            calling.client.send(
                {.method = Method::Post, .target = "/", .headers = {}, .body = body},
                Deadline::after(60s)),
            70s);
        ASSERT_TRUE(reply) << reply.error().message;
        EXPECT_TRUE(reply->body == body);
    }
}

Awaitable<Result<void>> collect_piece(std::string* all, std::string_view piece) {
    all->append(piece);
    co_return Result<void>();
}

Awaitable<void> stream_task(Client* client, std::string* all, int* good) {
    const auto reply = co_await client->stream(
        {.target = "/"}, Deadline::after(30s), [](const Reply&) { return Result<void>(); },
        [all](std::string_view piece) { return collect_piece(all, piece); });
    *good += reply ? 1 : 0;
}

TEST(TlsStream, RunsManyAtOnce) {
    constexpr int kStreams = 48;
    std::atomic<int> asked{0};
    TlsServer server([&asked](TlsPeer& peer, int) {
        if (!peer.accept()) return;
        peer.read_until("\r\n\r\n");
        ++asked;
        EXPECT_TRUE(eventually([&asked] { return asked == kStreams; }));
        peer.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        for (int i = 0; i < 50; ++i) peer.send("3e8\r\n" + std::string(1000, 'a') + "\r\n");
        peer.send("0\r\n\r\n");
        stay(peer);
    });
    Calling calling(server.address(), trusting());
    runtime::TaskGroup group(calling.io);
    std::vector<std::string> all(kStreams);
    int good = 0;
    for (std::string& one : all) {
        group.spawn("stream", stream_task(&calling.client, &one, &good));
    }
    while (group.size() > 0) calling.io.run_for(1ms);
    EXPECT_EQ(good, kStreams) << "the server answers nobody before all have asked";
    for (const std::string& one : all) EXPECT_EQ(one, std::string(50'000, 'a'));
    EXPECT_EQ(calling.client.connections_open(), 32U);
}

TEST(TlsStream, FollowsNewKeys) {
    TlsServer server({.version_min = TLS1_3_VERSION}, [](TlsPeer& peer, int) {
        if (!peer.accept()) return;
        peer.read_until("\r\n\r\n");
        peer.send("HTTP/1.1 200 OK\r\nContent-Length: 50000\r\n\r\n");
        for (int i = 0; i < 50; ++i) {
            // The client is to change its own as well, which it must write while it reads.
            SSL_key_update(peer.ssl(), SSL_KEY_UPDATE_REQUESTED);
            if (!peer.send(std::string(1000, 'k'))) return;
        }
        peer.read_until("\r\n\r\n");
        peer.send(reply_with("again"));
        stay(peer);
    });
    Calling calling(server.address(), trusting());
    const auto first = calling.get();
    ASSERT_TRUE(first) << first.error().message;
    EXPECT_EQ(first->body, std::string(50'000, 'k'));
    const auto second = calling.get();
    ASSERT_TRUE(second) << second.error().message;
    EXPECT_EQ(second->body, "again");
}

std::string client_random(TlsPeer& peer) {
    std::string bytes(SSL3_RANDOM_SIZE, '\0');
    SSL_get_client_random(peer.ssl(), reinterpret_cast<unsigned char*>(bytes.data()), bytes.size());
    return bytes;
}

TEST(TlsStream, IsNotRenegotiated) {
    std::string before;
    std::string after;
    {
        TlsServer server({.version_max = TLS1_2_VERSION}, [&](TlsPeer& peer, int) {
            if (!peer.accept()) return;
            before = client_random(peer);
            peer.read_until("\r\n\r\n");
            SSL_renegotiate(peer.ssl());
            SSL_do_handshake(peer.ssl());
            stay(peer);
            after = client_random(peer);  // of the last hello that came
        });
        const auto reply = Calling(server.address(), trusting()).get();
        ASSERT_FALSE(reply);
        EXPECT_EQ(reply.error().reason, "sent_no_byte") << reply.error().message;
    }
    EXPECT_NE(before, "");
    EXPECT_EQ(before, after);
}

TEST(TlsStream, ReadsTheAnswerOfAServerThatRefusesALargeBody) {
    TlsServer server([](TlsPeer& peer, int) {
        if (!peer.accept()) return;
        peer.read_until("\r\n\r\n");
        peer.send(
            "HTTP/1.1 413 Content Too Large\r\nConnection: close\r\nContent-Length: 2\r\n\r\nno");
        peer.say_goodbye();
        ::shutdown(peer.socket().fd(), SHUT_WR);
        stay(peer.socket());
    });
    Calling calling(server.address(), trusting());
    const auto reply = hearth::testing::run(
        calling.io,
        calling.client.send(
            {.method = Method::Post, .target = "/", .headers = {}, .body = pattern(8 << 20)},
            Deadline::after(20s)),
        30s);
    ASSERT_TRUE(reply) << reply.error().message;
    EXPECT_EQ(reply->status, 413);
    EXPECT_EQ(calling.client.connections_open(), 0U);
}

TEST(TlsStream, TriesOnceMoreWhenAKeptConnectionHasDied) {
    for (const bool goodbye : {true, false}) {
        std::atomic<int> connections{0};
        TlsServer server([&](TlsPeer& peer, int number) {
            ++connections;
            if (!peer.accept()) return;
            peer.read_until("\r\n\r\n");
            peer.send(reply_with(std::to_string(number)));
            peer.read_until("\r\n\r\n");
            if (goodbye) peer.say_goodbye();
        });
        Calling calling(server.address(), trusting());
        const auto first = calling.get();
        ASSERT_TRUE(first) << first.error().message;
        const auto second = calling.get();
        ASSERT_TRUE(second) << second.error().message;
        EXPECT_EQ(second->body, "1");
        EXPECT_EQ(connections, 2);
    }
}

TEST(TlsStream, IsNotReusedWithBytesTooMany) {
    TlsServer server([](TlsPeer& peer, int number) {
        if (!peer.accept()) return;
        peer.read_until("\r\n\r\n");
        peer.send(reply_with(std::to_string(number)) + reply_with("poison"));
        stay(peer);
    });
    Calling calling(server.address(), trusting());
    for (int i = 0; i < 2; ++i) {
        const auto reply = calling.get();
        ASSERT_TRUE(reply) << reply.error().message;
        EXPECT_EQ(reply->body, std::to_string(i));
    }
}

}  // namespace
}  // namespace hearth::http
