#include "http/tls_context.h"

#include <openssl/err.h>
#include <openssl/ssl.h>

#include <cstring>
#include <string_view>
#include <utility>

#include "base/format.h"
#include "http/tls_session.h"

namespace hearth::http {
namespace {

constexpr std::size_t kReadBuffer = 64 << 10;  // several records in one system call
constexpr unsigned char kProtocols[] = {8, 'h', 't', 't', 'p', '/', '1', '.', '1'};

// What OpenSSL met first is nearest to the cause.
std::string first_reason() {
    const unsigned long error = ERR_get_error();
    ERR_clear_error();
    if (ERR_SYSTEM_ERROR(error)) return std::strerror(ERR_GET_REASON(error));
    const char* const text = ERR_reason_error_string(error);
    return text ? text : "unknown reason";
}

std::unexpected<Error> wrong(std::string_view what) {
    return fail({.code = Code::Unavailable,
                 .message = format("TLS cannot be used: {}: {}", what, first_reason()),
                 .reason = "tls_configuration",
                 .discreet = "TLS cannot be used as it is configured"});
}

// A terminal is never asked for a password.
int no_password(char*, int, int, void*) { return -1; }

Result<void> load_authorities(SSL_CTX* context, const std::string& file) {
    if (file.empty()) {
        if (SSL_CTX_set_default_verify_paths(context) == 1) return {};
        return wrong("the system's certificate authorities");
    }
    if (SSL_CTX_load_verify_file(context, file.c_str()) == 1) return {};
    return wrong(format("the certificate authorities in {}", file));
}

Result<void> load_own_certificate(SSL_CTX* context, const TlsOptions& options) {
    if (options.certificate_file.empty() && options.key_file.empty()) return {};
    if (options.certificate_file.empty() || options.key_file.empty()) {
        return fail({.code = Code::Unavailable,
                     .message = "TLS cannot be used: a client certificate needs both a "
                                "certificate file and a key file",
                     .reason = "tls_configuration"});
    }
    if (SSL_CTX_use_certificate_chain_file(context, options.certificate_file.c_str()) != 1) {
        return wrong(format("the client certificate in {}", options.certificate_file));
    }
    if (SSL_CTX_use_PrivateKey_file(context, options.key_file.c_str(), SSL_FILETYPE_PEM) != 1) {
        return wrong(format("the key in {}", options.key_file));
    }
    if (SSL_CTX_check_private_key(context) == 1) return {};
    return wrong(format("the key in {} for the certificate in {}", options.key_file,
                        options.certificate_file));
}

bool set_up(SSL_CTX* context) {
    SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    // Idle connections keep no buffers.
    SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                  SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_read_ahead(context, 1);
    SSL_CTX_set_default_read_buffer_len(context, kReadBuffer);
    SSL_CTX_set_default_passwd_cb(context, no_password);
    return SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) == 1 &&
           SSL_CTX_set_alpn_protos(context, kProtocols, sizeof kProtocols) == 0;
}

}  // namespace

void TlsContext::Free::operator()(ssl_ctx_st* context) const { SSL_CTX_free(context); }

TlsContext::TlsContext(TlsOptions options) : options_(std::move(options)) {}
TlsContext::~TlsContext() = default;

Result<TlsContext::Handle> TlsContext::make(const TlsOptions& options) {
    ERR_clear_error();
    Handle context(SSL_CTX_new(TLS_client_method()));
    if (!context || !set_up(context.get())) return wrong("OpenSSL");
    if (options.verify) {
        TRY_VOID(load_authorities(context.get(), options.ca_file));
    }
    TRY_VOID(load_own_certificate(context.get(), options));
    TlsSession::prepare(context.get(), options);
    return context;
}

Result<void> TlsContext::load() const {
    TRY([[maybe_unused]] const ssl_ctx_st* const loaded, handle());
    return {};
}

Result<ssl_ctx_st*> TlsContext::handle() const {
    const MutexLock lock(mutex_);
    if (!handle_) {
        TRY(handle_, make(options_));
    }
    return handle_.get();
}

}  // namespace hearth::http
