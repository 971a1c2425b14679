#include "http/tls_session.h"

#include <arpa/inet.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <utility>

#include "base/format.h"
#include "http/tls_certificate.h"

namespace hearth::http {
namespace {

constexpr std::size_t kRecordMax = 16 << 10;

bool is_ip_address(const std::string& host) {
    unsigned char bytes[16];
    return ::inet_pton(AF_INET, host.c_str(), bytes) == 1 ||
           ::inet_pton(AF_INET6, host.c_str(), bytes) == 1;
}

// The alerts with which a server says that it wants another certificate of ours (RFC 8446 6.2):
// it has not looked at the request.
bool is_about_our_certificate(int reason) {
    const int alert = reason - SSL_AD_REASON_OFFSET;
    return (alert >= SSL3_AD_NO_CERTIFICATE && alert <= SSL3_AD_CERTIFICATE_UNKNOWN) ||
           alert == TLS1_AD_UNKNOWN_CA || alert == TLS1_AD_ACCESS_DENIED ||
           alert == TLS13_AD_CERTIFICATE_REQUIRED;
}

std::string say(unsigned long error, bool asked_for_certificate) {
    const int reason = ERR_GET_REASON(error);
    switch (reason) {
        case SSL_R_UNEXPECTED_EOF_WHILE_READING: return "it closed the connection";
        case SSL_R_WRONG_VERSION_NUMBER:
            return "its answer is no TLS; it may be a server that speaks plain HTTP";
        case SSL_R_UNSUPPORTED_PROTOCOL:
        case SSL_R_TLSV1_ALERT_PROTOCOL_VERSION: return "it offers nothing newer than TLS 1.1";
        default: break;
    }
    const char* const text = ERR_reason_error_string(error);
    std::string what = text ? text : "the connection broke";
    if (is_about_our_certificate(reason) ||
        (asked_for_certificate && reason == SSL_R_SSLV3_ALERT_HANDSHAKE_FAILURE)) {
        return format("it does not accept our client certificate, or that there is none ({})",
                      what);
    }
    return what;
}

// As many bytes as one record takes, from the front.
void gather(const Pieces& pieces, std::string& record) {
    record.clear();
    for (std::size_t i = 0; i < pieces.size() && record.size() < kRecordMax; ++i) {
        record.append(pieces[i].substr(0, kRecordMax - record.size()));
    }
}

}  // namespace

void TlsTickets::Free::operator()(ssl_session_st* ticket) const { SSL_SESSION_free(ticket); }

void TlsTickets::keep(Ticket ticket) {
    if (tickets_.size() == kMax) tickets_.erase(tickets_.begin());
    tickets_.push_back(std::move(ticket));
}

TlsTickets::Ticket TlsTickets::take() {
    while (!tickets_.empty()) {
        Ticket ticket = std::move(tickets_.back());
        tickets_.pop_back();
        if (SSL_SESSION_is_resumable(ticket.get()) != 1) continue;
        if (SSL_SESSION_get_protocol_version(ticket.get()) < TLS1_3_VERSION) {
            SSL_SESSION_up_ref(ticket.get());
            tickets_.emplace_back(ticket.get());
        }
        return ticket;
    }
    return nullptr;
}

void TlsSession::Free::operator()(ssl_st* ssl) const { SSL_free(ssl); }

void TlsSession::prepare(ssl_ctx_st* context, const TlsOptions& options) {
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(context, on_ticket);
    SSL_CTX_set_cert_cb(context, on_certificate_asked, nullptr);
    SSL_CTX_set_verify(context, options.verify ? SSL_VERIFY_PEER : SSL_VERIFY_NONE,
                       options.verify ? on_verify : nullptr);
}

TlsSession::TlsSession(Socket& socket, TlsTickets& tickets, std::string host)
    : socket_(socket), tickets_(tickets), host_(std::move(host)) {}

Result<std::unique_ptr<TlsSession>> TlsSession::make(const TlsContext& context, Socket& socket,
                                                     TlsTickets& tickets, const std::string& host) {
    TRY(ssl_ctx_st* const handle, context.handle());
    ERR_clear_error();
    std::unique_ptr<TlsSession> session(new TlsSession(socket, tickets, host));
    if (session->set_up(handle)) return session;
    return fail({.code = Code::Unavailable,
                 .message = format("TLS cannot be used with the host name \"{}\"", host),
                 .reason = "tls_configuration",
                 .discreet = "TLS cannot be used with its host name"});
}

bool TlsSession::set_up(ssl_ctx_st* context) {
    ssl_.reset(SSL_new(context));
    if (!ssl_) return false;
    SSL* const ssl = ssl_.get();
    bio_st* const bio = make_bio(this);
    if (bio == nullptr) return false;
    SSL_set_bio(ssl, bio, bio);
    SSL_set_app_data(ssl, this);
    SSL_set_connect_state(ssl);
    SSL_set_hostflags(ssl,
                      X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
    if (const TlsTickets::Ticket ticket = tickets_.take()) SSL_set_session(ssl, ticket.get());
    if (is_ip_address(host_)) {
        return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host_.c_str()) == 1;
    }
    // The dot at the end of a fully qualified name is in no certificate.
    const std::string name = host_.ends_with('.') ? host_.substr(0, host_.size() - 1) : host_;
    return !name.empty() && SSL_set1_host(ssl, name.c_str()) == 1 &&
           SSL_set_tlsext_host_name(ssl, name.c_str()) == 1;
}

TlsSession::~TlsSession() {
    if (!established_) return;
    ERR_clear_error();
    const bool sound = !write_pending_ && ended_ != Io::Failed && !socket_.broken();
    // Without this OpenSSL takes the connection for broken and its ticket for spent.
    if (!sound) SSL_set_quiet_shutdown(ssl_.get(), 1);
    SSL_shutdown(ssl_.get());
}

TlsSession::Step TlsSession::handshake() {
    ERR_clear_error();
    const int result = SSL_do_handshake(ssl_.get());
    if (result == 1) {
        established_ = true;
        more_ = true;
        return agreed_protocol() ? Step::Done : Step::Failed;
    }
    const int kind = SSL_get_error(ssl_.get(), result);
    if (kind == SSL_ERROR_WANT_READ) return Step::WantsRead;
    if (kind == SSL_ERROR_WANT_WRITE) return Step::WantsWrite;
    explain(kind);
    return Step::Failed;
}

// A server may choose nothing, but nothing else.
bool TlsSession::agreed_protocol() {
    const unsigned char* name = nullptr;
    unsigned size = 0;
    SSL_get0_alpn_selected(ssl_.get(), &name, &size);
    const std::string_view chosen(reinterpret_cast<const char*>(name), size);
    if (chosen.empty() || chosen == "http/1.1") return true;
    failure_ = no_tls("it chose a protocol that was not offered to it");
    return false;
}

Error TlsSession::no_tls(std::string_view why) const {
    return {.code = Code::Unavailable,
            .message = format("no TLS with {}: {}", host_, why),
            .reason = "tls_handshake",
            .discreet = format("no TLS: {}", why)};
}

// What OpenSSL has just failed with becomes failure() when it is about TLS.
void TlsSession::explain(int kind) {
    const unsigned long error = ERR_peek_last_error();
    const int reason = ERR_GET_REASON(error);
    ERR_clear_error();
    const bool about_tls = kind == SSL_ERROR_SSL && ERR_GET_LIB(error) == ERR_LIB_SSL;
    truncated_ = about_tls && reason == SSL_R_UNEXPECTED_EOF_WHILE_READING;
    if (!certificate_fault_.empty()) {
        failure_ = Error{.code = Code::Unavailable,
                         .message = certificate_fault_,
                         .reason = "tls_certificate",
                         .discreet = "its certificate is not good"};
    } else if (!established_ || (about_tls && is_about_our_certificate(reason))) {
        failure_ = no_tls(say(error, asked_for_certificate_));
    }
}

Socket::Read TlsSession::read(char* to, std::size_t size) {
    std::size_t total = 0;
    more_ = false;
    read_wants_write_ = false;
    while (total < size && ended_ == Io::Some) {
        ERR_clear_error();
        std::size_t got = 0;
        const int result = SSL_read_ex(ssl_.get(), to + total, size - total, &got);
        if (result == 1) {
            total += got;
            continue;
        }
        const int kind = SSL_get_error(ssl_.get(), result);
        if (kind == SSL_ERROR_WANT_READ || kind == SSL_ERROR_WANT_WRITE) {
            read_wants_write_ = kind == SSL_ERROR_WANT_WRITE;
            return {.io = total > 0 ? Io::Some : Io::WouldBlock, .size = total};
        }
        ended_ = kind == SSL_ERROR_ZERO_RETURN ? Io::End : Io::Failed;
        if (ended_ == Io::Failed) explain(kind);
    }
    more_ = true;  // another record, or the end
    return {.io = total > 0 ? Io::Some : ended_, .size = total};
}

// A short request and its head travel in one record. After WouldBlock the same bytes come again,
// as OpenSSL demands: `pieces` has not changed.
Socket::Io TlsSession::write(Pieces& pieces) {
    write_wants_read_ = false;
    while (!pieces.empty()) {
        std::string_view bytes = pieces[0];
        if (pieces.size() > 1 && bytes.size() < kRecordMax) {
            gather(pieces, record_);
            bytes = record_;
        }
        ERR_clear_error();
        std::size_t sent = 0;
        const int result = SSL_write_ex(ssl_.get(), bytes.data(), bytes.size(), &sent);
        if (result == 1) {
            write_pending_ = false;
            pieces.take(sent);
            continue;
        }
        const int kind = SSL_get_error(ssl_.get(), result);
        if (kind == SSL_ERROR_WANT_READ || kind == SSL_ERROR_WANT_WRITE) {
            write_pending_ = true;
            write_wants_read_ = kind == SSL_ERROR_WANT_READ;
            return Io::WouldBlock;
        }
        write_pending_ = true;
        ERR_clear_error();
        return Io::Failed;
    }
    std::string().swap(record_);
    return Io::Some;
}

int TlsSession::on_verify(int good, x509_store_ctx_st* store) {
    if (good == 1) return 1;
    const auto* const ssl =
        static_cast<SSL*>(X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx()));
    auto* const self = static_cast<TlsSession*>(SSL_get_app_data(ssl));
    self->certificate_fault_ = certificate_fault(store, self->host_);
    return 0;
}

int TlsSession::on_certificate_asked(ssl_st* ssl, void*) {
    static_cast<TlsSession*>(SSL_get_app_data(ssl))->asked_for_certificate_ = true;
    return 1;  // go on with what there is
}

int TlsSession::on_ticket(ssl_st* ssl, ssl_session_st* ticket) {
    auto* const self = static_cast<TlsSession*>(SSL_get_app_data(ssl));
    self->tickets_.keep(TlsTickets::Ticket(ticket));
    return 1;  // it is ours now
}

int TlsSession::bio_read(bio_st* bio, char* to, int size) {
    auto& self = *static_cast<TlsSession*>(BIO_get_data(bio));
    BIO_clear_retry_flags(bio);
    if (size <= 0) return 0;
    if (self.socket_.readable()) {
        const Socket::Read got = self.socket_.read(to, std::size_t(size));
        if (got.io == Io::Some) return int(got.size);
        if (got.io == Io::End) self.at_end_ = true;
        if (got.io != Io::WouldBlock) return got.io == Io::End ? 0 : -1;
    }
    BIO_set_retry_read(bio);
    return -1;
}

int TlsSession::bio_write(bio_st* bio, const char* from, int size) {
    auto& self = *static_cast<TlsSession*>(BIO_get_data(bio));
    BIO_clear_retry_flags(bio);
    if (size <= 0) return 0;
    Pieces pieces;
    pieces.add({from, std::size_t(size)});
    const Io io = self.socket_.write(pieces);
    if (io == Io::Some) return size;
    if (io != Io::WouldBlock) return -1;
    const int sent = size - int(pieces[0].size());
    if (sent > 0) return sent;
    BIO_set_retry_write(bio);
    return -1;
}

long TlsSession::bio_control(bio_st* bio, int what, long, void*) {
    if (what == BIO_CTRL_EOF) return static_cast<TlsSession*>(BIO_get_data(bio))->at_end_ ? 1 : 0;
    return what == BIO_CTRL_FLUSH ? 1 : 0;
}

bio_st* TlsSession::make_bio(TlsSession* self) {
    static BIO_METHOD* const method = [] {
        BIO_METHOD* const made = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "socket");
        CHECK(made != nullptr);
        BIO_meth_set_read(made, bio_read);
        BIO_meth_set_write(made, bio_write);
        BIO_meth_set_ctrl(made, bio_control);
        return made;
    }();
    BIO* const bio = BIO_new(method);
    if (bio == nullptr) return nullptr;
    BIO_set_data(bio, self);
    BIO_set_init(bio, 1);
    return bio;
}

}  // namespace hearth::http
