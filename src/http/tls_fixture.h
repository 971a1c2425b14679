#pragma once

// For tests only: certificates made on the spot, and a server that speaks TLS as it is told.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <sys/time.h>

#include <boost/asio/io_context.hpp>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "base/error.h"
#include "http/client.h"
#include "http/tls_context.h"
#include "testing/run.h"
#include "testing/scripted_server.h"

namespace hearth::http::testing {

using hearth::testing::RawSocket;
using hearth::testing::ScriptedServer;

struct Certificate {
    std::shared_ptr<X509> certificate;
    std::shared_ptr<EVP_PKEY> key;
};

struct CertificateWish {
    std::string subject = "a server";
    std::string names;  // "DNS:localhost,IP:127.0.0.1"
    int from_days = -1;
    int to_days = 10;
    bool authority = false;
};

inline void add_extension(X509* certificate, X509* issuer, int kind, const std::string& value) {
    X509V3_CTX context;
    X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
    X509_EXTENSION* const made = X509V3_EXT_conf_nid(nullptr, &context, kind, value.c_str());
    CHECK(made != nullptr);
    X509_add_ext(certificate, made, -1);
    X509_EXTENSION_free(made);
}

// Signed by `issuer`, or by itself.
inline Certificate make_certificate(const CertificateWish& wish, const Certificate* issuer) {
    Certificate made{.certificate = {X509_new(), X509_free},
                     .key = {EVP_EC_gen("P-256"), EVP_PKEY_free}};
    X509* const certificate = made.certificate.get();
    static long serial = 1;
    X509_set_version(certificate, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(certificate), ++serial);
    X509_time_adj_ex(X509_getm_notBefore(certificate), wish.from_days, 0, nullptr);
    X509_time_adj_ex(X509_getm_notAfter(certificate), wish.to_days, 0, nullptr);
    X509_set_pubkey(certificate, made.key.get());
    X509_NAME* const subject = X509_get_subject_name(certificate);
    X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8,
                               reinterpret_cast<const unsigned char*>(wish.subject.c_str()), -1, -1,
                               0);
    X509* const signer = issuer ? issuer->certificate.get() : certificate;
    X509_set_issuer_name(certificate, X509_get_subject_name(signer));
    add_extension(certificate, signer, NID_basic_constraints,
                  wish.authority ? "critical,CA:TRUE" : "CA:FALSE");
    if (!wish.names.empty()) {
        add_extension(certificate, signer, NID_subject_alt_name, wish.names);
    }
    CHECK(X509_sign(certificate, (issuer ? issuer->key : made.key).get(), EVP_sha256()) != 0);
    return made;
}

// A folder of PEM files that goes with the object.
class PemFolder {
  public:
    PemFolder() {
        char name[] = "/tmp/hearth-tls-XXXXXX";
        CHECK(::mkdtemp(name) != nullptr);
        path_ = name;
    }
    ~PemFolder() { std::filesystem::remove_all(path_); }
    PemFolder(const PemFolder&) = delete;
    PemFolder& operator=(const PemFolder&) = delete;

    std::string file(const std::string& name) const { return path_ / name; }
    std::string write_certificate(const std::string& name, const Certificate& what) const {
        FILE* const out = std::fopen(file(name).c_str(), "w");
        PEM_write_X509(out, what.certificate.get());
        std::fclose(out);
        return file(name);
    }
    std::string write_key(const std::string& name, const Certificate& what) const {
        FILE* const out = std::fopen(file(name).c_str(), "w");
        PEM_write_PrivateKey(out, what.key.get(), nullptr, nullptr, 0, nullptr, nullptr);
        std::fclose(out);
        return file(name);
    }

  private:
    std::filesystem::path path_;
};

// An authority, what it has signed, and the file by which clients trust it.
struct Authority {
    PemFolder folder;
    Certificate root = make_certificate({.subject = "Our Authority", .authority = true}, nullptr);
    Certificate server = signed_for("DNS:localhost,DNS:*.hearth.test,IP:127.0.0.1");
    std::string ca_file = folder.write_certificate("ca.pem", root);

    Certificate signed_for(const std::string& names) const {
        return make_certificate({.names = names}, &root);
    }
    std::shared_ptr<const TlsContext> trusted() const {
        return std::make_shared<TlsContext>(TlsOptions{.ca_file = ca_file});
    }
};

inline const Authority& authority() {
    static const Authority made;
    return made;
}

// The server's end of one connection. Blocking; its waits are bounded.
class TlsPeer {
  public:
    TlsPeer(SSL_CTX* context, RawSocket& socket)
        : socket_(socket), ssl_(SSL_new(context), SSL_free) {
        const timeval limit{.tv_sec = 20, .tv_usec = 0};
        ::setsockopt(socket.fd(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
        ::setsockopt(socket.fd(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
        SSL_set_fd(ssl_.get(), socket.fd());
    }

    SSL* ssl() { return ssl_.get(); }
    RawSocket& socket() { return socket_; }
    bool accept() { return SSL_accept(ssl_.get()) == 1; }
    bool resumed() { return SSL_session_reused(ssl_.get()) == 1; }
    bool send(std::string_view bytes) {
        while (!bytes.empty()) {
            std::size_t sent = 0;
            if (SSL_write_ex(ssl_.get(), bytes.data(), bytes.size(), &sent) != 1) return false;
            bytes.remove_prefix(sent);
        }
        return true;
    }
    // Up to and with `mark`; what came when the client leaves before.
    std::string read_until(std::string_view mark) {
        while (!ahead_.contains(mark)) {
            if (!read_more()) return std::exchange(ahead_, {});
        }
        return take(ahead_.find(mark) + mark.size());
    }
    std::string read_exactly(std::size_t size) {
        while (ahead_.size() < size) {
            if (!read_more()) return std::exchange(ahead_, {});
        }
        return take(size);
    }
    // True when the client said goodbye, false when it left without or stayed.
    bool read_goodbye() {
        while (read_more()) {
        }
        return (SSL_get_shutdown(ssl_.get()) & SSL_RECEIVED_SHUTDOWN) != 0;
    }
    void say_goodbye() { SSL_shutdown(ssl_.get()); }

  private:
    bool read_more() {
        char bytes[32 << 10];
        std::size_t got = 0;
        if (SSL_read_ex(ssl_.get(), bytes, sizeof bytes, &got) != 1) return false;
        ahead_.append(bytes, got);
        return true;
    }
    std::string take(std::size_t size) {
        std::string taken = ahead_.substr(0, size);
        ahead_.erase(0, size);
        return taken;
    }

    RawSocket& socket_;
    std::unique_ptr<SSL, decltype(&SSL_free)> ssl_;
    std::string ahead_;
};

// Runs `script` on a thread of its own for each connection; it does the handshake itself.
class TlsServer {
  public:
    using Script = std::function<void(TlsPeer&, int)>;
    struct Options {
        Certificate certificate = authority().server;
        int version_min = TLS1_2_VERSION;
        int version_max = TLS1_3_VERSION;
        bool wants_certificate = false;
        int (*choose_protocol)(SSL*, const unsigned char** chosen, unsigned char* size,
                               const unsigned char* offered, unsigned offered_size,
                               void*) = nullptr;
    };

    explicit TlsServer(Script script) : TlsServer(Options(), std::move(script)) {}
    TlsServer(Options options, Script script)
        : context_(make_context(options)),
          server_([this, script = std::move(script)](RawSocket& socket, int number) {
              TlsPeer peer(context_.get(), socket);
              script(peer, number);
              ERR_clear_error();
          }) {}

    const std::string& address() const { return server_.address(); }
    std::string port() const { return address().substr(address().rfind(':') + 1); }
    SSL_CTX* context() { return context_.get(); }

  private:
    static SSL_CTX* make_context(const Options& options) {
        ::signal(SIGPIPE, SIG_IGN);  // OpenSSL writes without MSG_NOSIGNAL
        SSL_CTX* const context = SSL_CTX_new(TLS_server_method());
        // Old versions are there to be refused.
        SSL_CTX_set_security_level(context, 0);
        SSL_CTX_set_min_proto_version(context, options.version_min);
        SSL_CTX_set_max_proto_version(context, options.version_max);
        SSL_CTX_use_certificate(context, options.certificate.certificate.get());
        SSL_CTX_use_PrivateKey(context, options.certificate.key.get());
        SSL_CTX_set_session_id_context(context, reinterpret_cast<const unsigned char*>("t"), 1);
        if (options.wants_certificate) {
            SSL_CTX_load_verify_file(context, authority().ca_file.c_str());
            SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
        }
        if (options.choose_protocol) {
            SSL_CTX_set_alpn_select_cb(context, options.choose_protocol, nullptr);
        }
        return context;
    }

    struct Free {
        void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
    };
    std::unique_ptr<SSL_CTX, Free> context_;
    ScriptedServer server_;
};

// One client with a context of its own, driven from a plain function.
struct Calling {
    boost::asio::io_context io;
    Client client;

    explicit Calling(const std::string& address, ClientOptions options = {})
        : client(address, std::move(options)) {}
    Result<Reply> get(std::string target = "/",
                      Deadline deadline = Deadline::after(std::chrono::seconds(30))) {
        return hearth::testing::run(io, client.send({.target = std::move(target)}, deadline),
                                    std::chrono::seconds(40));
    }
    Error error() {
        const auto reply = get();
        EXPECT_FALSE(reply);
        return reply ? Error{.message = "none"} : reply.error();
    }
};

inline ClientOptions trusting(std::string server_name = "") {
    return {.tls = authority().trusted(), .server_name = std::move(server_name)};
}

inline std::string reply_with(const std::string& body, const std::string& fields = "") {
    return "HTTP/1.1 200 OK\r\n" + fields + "Content-Length: " + std::to_string(body.size()) +
           "\r\n\r\n" + body;
}

// Answers each request of a connection with `reply` until the client leaves.
inline TlsServer::Script answer_always(std::string reply) {
    return [reply = std::move(reply)](TlsPeer& peer, int) {
        if (!peer.accept()) return;
        while (peer.read_until("\r\n\r\n").ends_with("\r\n\r\n")) {
            if (!peer.send(reply)) return;
        }
    };
}

// Reads until the client leaves.
inline void stay(RawSocket& socket) {
    for (;;) {
        const auto bytes = socket.read_some();
        if (!bytes || bytes->empty()) return;
    }
}
inline void stay(TlsPeer& peer) { (void)peer.read_goodbye(); }

// Calls `check` with the address of a server that runs `script` for each connection and how to call
// it: first in plain text, then over TLS.
template <class Script, class Check>
void with_and_without_tls(Script script, Check check) {
    ScriptedServer plain([script](RawSocket& socket, int) { script(socket); });
    check(plain.address(), ClientOptions{});
    TlsServer secure([script](TlsPeer& peer, int) {
        if (peer.accept()) script(peer);
    });
    check(secure.address(), trusting());
}

}  // namespace hearth::http::testing
