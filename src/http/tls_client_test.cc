#include <gtest/gtest.h>

#include <atomic>
#include <mutex>

#include "http/server_fixture.h"
#include "http/tls_fixture.h"

namespace hearth::http {
namespace {

using namespace std::chrono_literals;
using namespace hearth::http::testing;

TEST(TlsClient, CallsAServerItTrustsInBothVersions) {
    for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
        std::atomic<int> connections = 0;
        TlsServer server({.version_min = version, .version_max = version},
                         [&, answer = answer_always(reply_with("hello"))](TlsPeer& peer, int) {
                             ++connections;
                             answer(peer, 0);
                         });
        Calling calling(server.address(), trusting());
        for (int i = 0; i < 3; ++i) {
            const auto reply = calling.get();
            ASSERT_TRUE(reply) << reply.error().message;
            EXPECT_EQ(reply->body, "hello");
            EXPECT_EQ(calling.client.connections_open(), 1U);
        }
        EXPECT_EQ(connections, 1) << "it is kept and used again";
    }
}

TEST(TlsClient, KnowsNamesAddressesAndWildcards) {
    TlsServer server(answer_always(reply_with("hello")));
    EXPECT_TRUE(Calling(server.address(), trusting("localhost")).get());
    EXPECT_TRUE(Calling(server.address(), trusting("localhost.")).get());
    EXPECT_TRUE(Calling(server.address(), trusting("a.hearth.test")).get());
    EXPECT_TRUE(Calling("localhost:" + server.port(), trusting()).get());
    EXPECT_FALSE(Calling(server.address(), trusting("a.b.hearth.test")).get());
    EXPECT_FALSE(Calling(server.address(), trusting("hearth.test")).get());
    EXPECT_FALSE(Calling(server.address(), trusting("127.0.0.2")).get());
}

TEST(TlsClient, TellsTheServerItsNameButNoAddress) {
    std::mutex mutex;
    std::vector<std::string> seen;
    TlsServer server([&](TlsPeer& peer, int) {
        if (!peer.accept()) return;
        const char* const name = SSL_get_servername(peer.ssl(), TLSEXT_NAMETYPE_host_name);
        {
            const std::lock_guard lock(mutex);
            seen.emplace_back(name ? name : "none");
        }
        peer.read_until("\r\n\r\n");
        peer.send(reply_with(""));
    });
    ASSERT_TRUE(Calling(server.address(), trusting("localhost.")).get());
    ASSERT_TRUE(Calling(server.address(), trusting()).get());
    EXPECT_EQ(seen, (std::vector<std::string>{"localhost", "none"}));
}

struct Refused {
    const char* what;
    Certificate certificate;
    std::string message;  // a part of it
};

TEST(TlsClient, SaysWhatIsWrongWithACertificate) {
    const Certificate& root = authority().root;
    const Certificate stranger =
        make_certificate({.subject = "A Stranger", .authority = true}, nullptr);
    const Refused cases[] = {
        {"expired",
         make_certificate({.names = "IP:127.0.0.1", .from_days = -9, .to_days = -2}, &root),
         "the certificate of 127.0.0.1 expired on 20"},
        {"not yet valid", make_certificate({.names = "IP:127.0.0.1", .from_days = 3}, &root),
         "the certificate of 127.0.0.1 is not valid before 20"},
        {"wrong name", authority().signed_for("DNS:other.test,IP:10.1.2.3"),
         "is for another host: other.test, 10.1.2.3"},
        {"no name", make_certificate({.subject = "127.0.0.1"}, &root), "names no host at all"},
        {"self-signed", make_certificate({.names = "IP:127.0.0.1"}, nullptr), "is self-signed"},
        {"unknown issuer", make_certificate({.names = "IP:127.0.0.1"}, &stranger),
         "comes from an authority that is not trusted here: /CN=A Stranger"},
        {"many names", authority().signed_for("DNS:a,DNS:b,DNS:c,DNS:d,DNS:e,DNS:f"),
         "for another host: a, b, c, d, e, ..."},
    };
    for (const Refused& refused : cases) {
        TlsServer server({.certificate = refused.certificate}, answer_always(reply_with("no")));
        const Error error = Calling(server.address(), trusting()).error();
        EXPECT_EQ(error.code, Code::Unavailable) << refused.what;
        EXPECT_EQ(error.reason, "tls_certificate") << refused.what;
        EXPECT_TRUE(error.message.contains(refused.message)) << error.message;
        EXPECT_TRUE(error.message.contains("127.0.0.1")) << error.message;
        EXPECT_EQ(Error(error).told().message, "its certificate is not good");
        Calling careless(server.address(),
                         {.tls = std::make_shared<TlsContext>(TlsOptions{.verify = false})});
        EXPECT_TRUE(careless.get()) << refused.what;
    }
}

TEST(TlsClient, TrustsTheSystemsStoreOnlyWhenNothingElseIsNamed) {
    TlsServer server(answer_always(reply_with("hello")));
    const auto system = std::make_shared<TlsContext>();
    EXPECT_TRUE(system->load());
    const Error error = Calling(server.address(), {.tls = system}).error();
    EXPECT_EQ(error.reason, "tls_certificate") << error.message;
}

TEST(TlsClient, ShowsItsCertificateToServersThatAsk) {
    const Certificate ours = make_certificate({.subject = "hearth"}, &authority().root);
    const Certificate foreign = make_certificate({.subject = "hearth"}, nullptr);
    const PemFolder folder;
    const auto context = [&folder](const Certificate& certificate, const std::string& name) {
        return std::make_shared<TlsContext>(
            TlsOptions{.ca_file = authority().ca_file,
                       .certificate_file = folder.write_certificate(name + ".pem", certificate),
                       .key_file = folder.write_key(name + ".key", certificate)});
    };
    for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
        TlsServer server(
            {.version_min = version, .version_max = version, .wants_certificate = true},
            answer_always(reply_with("hello")));
        EXPECT_TRUE(Calling(server.address(), {.tls = context(ours, "ours")}).get());
        for (const auto& tls : {authority().trusted(),
                                std::shared_ptr<const TlsContext>(context(foreign, "foreign"))}) {
            const Error error = Calling(server.address(), {.tls = tls}).error();
            EXPECT_EQ(error.code, Code::Unavailable);
            EXPECT_EQ(error.reason, "tls_handshake") << error.message;
            EXPECT_TRUE(error.message.contains("client certificate")) << error.message;
        }
    }
}

TEST(TlsClient, SaysWhichFileIsNotGood) {
    const PemFolder folder;
    const Certificate other = make_certificate({}, nullptr);
    const std::string ca = authority().ca_file;
    const std::string key = folder.write_key("key", other);
    const std::string mine = folder.write_certificate("mine", authority().server);
    const std::pair<TlsOptions, std::string> cases[] = {
        {{.ca_file = "/nowhere/ca.pem"}, "/nowhere/ca.pem: No such file"},
        {{.ca_file = key}, key},
        {{.ca_file = ca, .certificate_file = mine}, "both a certificate file and a key file"},
        {{.ca_file = ca, .certificate_file = "/nowhere/c", .key_file = key}, "/nowhere/c: No such"},
        {{.ca_file = ca, .certificate_file = mine, .key_file = "/nowhere/k"},
         "/nowhere/k: No such"},
        {{.ca_file = ca, .certificate_file = mine, .key_file = key}, "mismatch"},
    };
    TlsServer server(answer_always(reply_with("hello")));
    for (const auto& [options, message] : cases) {
        const TlsContext context(options);
        const auto loaded = context.load();
        ASSERT_FALSE(loaded) << message;
        EXPECT_EQ(loaded.error().reason, "tls_configuration");
        EXPECT_TRUE(loaded.error().message.contains(message)) << loaded.error().message;
        const Error error =
            Calling(server.address(), {.tls = std::make_shared<TlsContext>(options)}).error();
        EXPECT_EQ(error.reason, "tls_configuration");
        EXPECT_FALSE(Error(error).told().message.contains('/')) << "files are nobody's business";
    }
}

TEST(TlsClient, NeedsAServerNameOverUnixSockets) {
    Calling calling("unix:/tmp/hearth-no-such.sock", trusting());
    EXPECT_EQ(calling.error().code, Code::InvalidArgument);
    Calling named("unix:/tmp/hearth-no-such.sock", trusting("localhost"));
    EXPECT_EQ(named.error().reason, "connect_failed");
}

TEST(TlsClient, AcceptsNothingBeforeTls12) {
    TlsServer server({.version_min = TLS1_VERSION, .version_max = TLS1_1_VERSION},
                     answer_always(reply_with("hello")));
    const Error error = Calling(server.address(), trusting()).error();
    EXPECT_EQ(error.reason, "tls_handshake");
    EXPECT_TRUE(error.message.contains("nothing newer than TLS 1.1")) << error.message;
}

TEST(TlsClient, OffersHttp11AndTakesNothingElse) {
    static std::string offered;
    const auto choose = [](SSL*, const unsigned char** chosen, unsigned char* size,
                           const unsigned char* from, unsigned from_size, void*) {
        offered.assign(reinterpret_cast<const char*>(from), from_size);
        *chosen = reinterpret_cast<const unsigned char*>("h2");
        *size = 2;
        return SSL_TLSEXT_ERR_OK;
    };
    TlsServer server({.choose_protocol = choose}, answer_always(reply_with("hello")));
    const Error error = Calling(server.address(), trusting()).error();
    EXPECT_EQ(error.reason, "tls_handshake") << error.message;
    EXPECT_EQ(offered, "\x08http/1.1");
}

TEST(TlsClient, NeverFallsBackToPlainText) {
    std::atomic<int> requests{0};
    ScriptedServer plain([&](RawSocket& socket, int) {
        const auto bytes = socket.read_some();
        if (bytes && bytes->contains("HTTP/1.1")) ++requests;
        socket.send("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
        socket.read_some();
    });
    const Error error = Calling(plain.address(), trusting()).error();
    EXPECT_EQ(error.reason, "tls_handshake");
    EXPECT_TRUE(error.message.contains("plain HTTP")) << error.message;
    EXPECT_EQ(requests, 0);

    TlsServer secure([](TlsPeer& peer, int) { peer.accept(); });
    EXPECT_EQ(Calling(secure.address()).error().reason, "sent_no_byte");
}

TEST(TlsClient, SaysThatAServerLeftInTheHandshake) {
    std::atomic<int> connections{0};
    ScriptedServer server([&](RawSocket& socket, int) {
        ++connections;
        socket.read_some();
    });
    const Error error = Calling(server.address(), trusting()).error();
    EXPECT_EQ(error.code, Code::Unavailable);
    EXPECT_EQ(error.reason, "tls_handshake") << error.message;
    EXPECT_EQ(connections, 1);
}

TEST(TlsClient, ResumesItsSessions) {
    for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
        std::atomic<int> resumed{0};
        std::atomic<int> goodbyes{0};
        TlsServer server({.version_min = version, .version_max = version}, [&](TlsPeer& peer, int) {
            if (!peer.accept()) return;
            resumed += peer.resumed() ? 1 : 0;
            peer.read_until("\r\n\r\n");
            peer.send(reply_with("x", "Connection: close\r\n"));
            goodbyes += peer.read_goodbye() ? 1 : 0;
        });
        Calling calling(server.address(), trusting());
        for (int i = 0; i < 8; ++i) ASSERT_TRUE(calling.get());
        EXPECT_TRUE(eventually([&] { return goodbyes == 8; }));
        EXPECT_EQ(resumed, 7);
        EXPECT_EQ(calling.client.connections_open(), 0U);
    }
}

TEST(TlsClient, ResumesAfterConnectionsThatEndedBadly) {
    std::atomic<int> resumed{0};
    TlsServer server([&](TlsPeer& peer, int) {
        if (!peer.accept()) return;
        resumed += peer.resumed() ? 1 : 0;
        peer.read_until("\r\n\r\n");
        peer.send("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf");
        peer.socket().close();
    });
    Calling calling(server.address(), trusting());
    for (int i = 0; i < 3; ++i) EXPECT_EQ(calling.error().code, Code::BadUpstream);
    EXPECT_GE(resumed, 1);
}

}  // namespace
}  // namespace hearth::http
