#pragma once

// Internal to http/.
#include <string>

struct x509_store_ctx_st;

namespace hearth::http {

// One sentence on why the certificate that OpenSSL has just refused does not do for `host`. What
// the peer wrote into it appears cleaned.
std::string certificate_fault(x509_store_ctx_st* refused, const std::string& host);

}  // namespace hearth::http
