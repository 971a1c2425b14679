#include "http/tls_certificate.h"

#include <arpa/inet.h>
#include <openssl/x509.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>

#include <ctime>
#include <memory>
#include <string_view>

#include "base/format.h"

namespace hearth::http {
namespace {

constexpr int kNamesShown = 5;
constexpr std::size_t kNameShown = 100;  // bytes

std::string clean(std::string_view text) {
    std::string cleaned(text.substr(0, kNameShown));
    for (char& c : cleaned) {
        if (c < 0x20 || c > 0x7E) c = '?';
    }
    return cleaned;
}

std::string_view bytes_of(const ASN1_STRING* text) {
    return {reinterpret_cast<const char*>(ASN1_STRING_get0_data(text)),
            std::size_t(ASN1_STRING_length(text))};
}

std::string show_address(std::string_view bytes) {
    char text[INET6_ADDRSTRLEN] = {};
    if (bytes.size() != 4 && bytes.size() != 16) return "?";
    ::inet_ntop(bytes.size() == 4 ? AF_INET : AF_INET6, bytes.data(), text, sizeof text);
    return text;
}

std::string show_time(const ASN1_TIME* time) {
    std::tm parts{};
    if (ASN1_TIME_to_tm(time, &parts) != 1) return "an unreadable date";
    return format("{:04}-{:02}-{:02} {:02}:{:02} UTC", parts.tm_year + 1900, parts.tm_mon + 1,
                  parts.tm_mday, parts.tm_hour, parts.tm_min);
}

std::string show_name(X509_NAME* name) {
    char text[256] = {};
    X509_NAME_oneline(name, text, sizeof text);
    return clean(text);
}

// "a.example, 10.0.0.1", as far as they are shown.
std::string names_of(const X509* certificate) {
    const std::unique_ptr<GENERAL_NAMES, decltype(&GENERAL_NAMES_free)> names(
        static_cast<GENERAL_NAMES*>(
            X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr)),
        GENERAL_NAMES_free);
    std::string all;
    int shown = 0;
    for (int i = 0; names && i < sk_GENERAL_NAME_num(names.get()); ++i) {
        const GENERAL_NAME* const name = sk_GENERAL_NAME_value(names.get(), i);
        std::string text;
        if (name->type == GEN_DNS) text = clean(bytes_of(name->d.dNSName));
        if (name->type == GEN_IPADD) text = show_address(bytes_of(name->d.iPAddress));
        if (text.empty()) continue;
        if (shown++ == kNamesShown) return all + ", ...";
        all.append(all.empty() ? "" : ", ").append(text);
    }
    return all;
}

std::string wrong_name(const X509* certificate, const std::string& host) {
    const std::string names = names_of(certificate);
    if (names.empty()) return format("the certificate of {} names no host at all", host);
    return format("the certificate of {} is for another host: {}", host, names);
}

}  // namespace

std::string certificate_fault(x509_store_ctx_st* refused, const std::string& host) {
    X509* const certificate = X509_STORE_CTX_get_current_cert(refused);
    const int error = X509_STORE_CTX_get_error(refused);
    const std::string why = X509_verify_cert_error_string(error);
    if (certificate == nullptr) return format("the certificate of {} is not good: {}", host, why);
    const std::string whose = X509_STORE_CTX_get_error_depth(refused) == 0
                                  ? format("the certificate of {}", host)
                                  : format("the authority {} above the certificate of {}",
                                           show_name(X509_get_subject_name(certificate)), host);
    switch (error) {
        case X509_V_ERR_CERT_HAS_EXPIRED:
            return format("{} expired on {}", whose, show_time(X509_get0_notAfter(certificate)));
        case X509_V_ERR_CERT_NOT_YET_VALID:
            return format("{} is not valid before {}", whose,
                          show_time(X509_get0_notBefore(certificate)));
        case X509_V_ERR_HOSTNAME_MISMATCH:
        case X509_V_ERR_IP_ADDRESS_MISMATCH: return wrong_name(certificate, host);
        case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
            return format("{} is self-signed; it is trusted only when it is named as CA file",
                          whose);
        case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
        case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
        case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
        case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
            return format(
                "the certificate of {} comes from an authority that is not trusted here: {}", host,
                show_name(X509_get_issuer_name(certificate)));
        default: return format("{} is not good: {}", whose, why);
    }
}

}  // namespace hearth::http
