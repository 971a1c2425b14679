#include <gtest/gtest.h>

#include <atomic>

#include "http/connector.h"
#include "http/server_fixture.h"
#include "http/tls_fixture.h"
#include "testing/full_listener.h"

namespace hearth::http {
namespace {

using namespace std::chrono_literals;
using namespace hearth::http::testing;
using hearth::testing::FullListener;

template <class Condition>
bool becomes_true(Calling& calling, Condition condition) {
    const auto end = std::chrono::steady_clock::now() + 10s;
    while (!condition()) {
        if (std::chrono::steady_clock::now() > end) return false;
        calling.io.restart();
        calling.io.run_for(2ms);
    }
    return true;
}

TEST(ClientPool, ClosesWhatWaitsTooLong) {
    const auto script = [](auto& peer) {
        peer.read_until("\r\n\r\n");
        peer.send(reply_with("x"));
        stay(peer);
    };
    with_and_without_tls(script, [](const std::string& address, ClientOptions options) {
        options.idle_time = 60ms;
        Calling calling(address, options);
        ASSERT_TRUE(calling.get());
        EXPECT_EQ(calling.client.connections_open(), 1U);
        EXPECT_TRUE(becomes_true(calling, [&] { return calling.client.connections_open() == 0; }));
    });
}

TEST(ClientPool, ClosesWhatTheServerCloses) {
    const auto script = [](auto& peer) {
        peer.read_until("\r\n\r\n");
        peer.send(reply_with("x"));
    };
    with_and_without_tls(script, [](const std::string& address, const ClientOptions& options) {
        Calling calling(address, options);
        for (int i = 0; i < 3; ++i) {
            const auto reply = calling.get();
            ASSERT_TRUE(reply) << reply.error().message;
            EXPECT_TRUE(
                becomes_true(calling, [&] { return calling.client.connections_open() == 0; }));
        }
    });
}

Endpoint endpoint_of(const std::string& address) {
    return numeric_endpoints(*parse_address(address))->front();
}

// Connects through `endpoints` in that order; how long it took, or nothing.
std::optional<std::chrono::nanoseconds> connect_through(std::vector<Endpoint> endpoints,
                                                        const ClientOptions& options) {
    boost::asio::io_context io;
    Connector connector("127.0.0.1:1", options);
    const auto begun = std::chrono::steady_clock::now();
    const Deadline end = Deadline::after(options.connect_time);
    const auto socket = hearth::testing::run(
        io, connector.connect_to_any(std::move(endpoints), {.deadline = end, .attempt = end}), 20s);
    if (!socket) return std::nullopt;
    EXPECT_EQ(connector.open(), 1U);
    return std::chrono::steady_clock::now() - begun;
}

TEST(Connector, LeavesTimeForTheNextAddress) {
    const FullListener dead;
    TlsServer live(answer_always(reply_with("x")));
    for (ClientOptions options : {ClientOptions{}, trusting()}) {
        options.connect_time = 3s;
        const Endpoint gone = endpoint_of(dead.address());
        const auto took = connect_through({gone, gone, endpoint_of(live.address())}, options);
        ASSERT_TRUE(took);
        EXPECT_GE(*took, 1500ms);
        options.connect_time = 200ms;
        EXPECT_FALSE(connect_through({gone, gone}, options));
    }
}

TEST(Connector, GoesOnAfterARefusalAndAStalledHandshake) {
    std::string refused;
    {
        ScriptedServer gone([](RawSocket&, int) {});
        refused = gone.address();
    }
    ScriptedServer silent([](RawSocket& socket, int) { stay(socket); });
    TlsServer live(answer_always(reply_with("x")));
    // The living one has half of it for its handshake, which takes long where processors are few.
    ClientOptions options = trusting();
    options.connect_time = 6s;
    const auto took = connect_through(
        {endpoint_of(refused), endpoint_of(silent.address()), endpoint_of(live.address())},
        options);
    ASSERT_TRUE(took);
    EXPECT_GE(*took, 2500ms);
}

TEST(Connector, TriesNoOtherAddressWithAWrongCertificate) {
    std::atomic<int> connections{0};
    TlsServer wrong({.certificate = authority().signed_for("DNS:other.test")},
                    [&](TlsPeer& peer, int) {
                        ++connections;
                        peer.accept();
                    });
    const Endpoint endpoint = endpoint_of(wrong.address());
    EXPECT_FALSE(connect_through({endpoint, endpoint}, trusting()));
    EXPECT_EQ(connections, 1);
}

TEST(Connector, SaysThatANameIsUnknown) {
    const Error error = Calling("no..such:80").error();
    EXPECT_EQ(error.code, Code::Unavailable);
    EXPECT_EQ(error.reason, "connect_failed");
    EXPECT_TRUE(error.message.contains("no..such")) << error.message;
}

TEST(Client, AsksForNoCodingUnlessToldOtherwise) {
    TestServer server;
    Calling calling(server.address);
    const auto plain = calling.get("/fields");
    ASSERT_TRUE(plain);
    EXPECT_TRUE(plain->body.contains("Accept-Encoding=identity;")) << plain->body;
    Call own{.target = "/fields"};
    own.headers.add("accept-encoding", "br");
    const auto told =
        hearth::testing::run(calling.io, calling.client.send(own, Deadline::after(20s)));
    ASSERT_TRUE(told);
    EXPECT_TRUE(told->body.contains("accept-encoding=br;")) << told->body;
    EXPECT_FALSE(told->body.contains("identity"));
}

TEST(Client, RefusesACodedBodyThatNobodyAskedFor) {
    ScriptedServer server([](RawSocket& socket, int) {
        while (socket.read_until("\r\n\r\n").ends_with("\r\n\r\n")) {
            socket.send(reply_with("coded", "Content-Encoding: gzip\r\n"));
        }
    });
    Calling calling(server.address());
    const Error error = calling.error();
    EXPECT_EQ(error.code, Code::BadUpstream);
    EXPECT_TRUE(error.message.contains("gzip")) << error.message;
    EXPECT_EQ(calling.client.connections_open(), 0U);
    Call own{.target = "/"};
    own.headers.add("Accept-Encoding", "gzip");
    const auto told =
        hearth::testing::run(calling.io, calling.client.send(own, Deadline::after(20s)));
    ASSERT_TRUE(told);
    EXPECT_EQ(told->body, "coded");
    ScriptedServer honest([](RawSocket& socket, int) {
        socket.read_until("\r\n\r\n");
        socket.send(reply_with("plain", "Content-Encoding: Identity\r\n"));
    });
    EXPECT_TRUE(Calling(honest.address()).get());
}

}  // namespace
}  // namespace hearth::http
