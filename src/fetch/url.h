#pragma once

#include <string>
#include <string_view>

#include "base/error.h"

namespace hearth::fetch {

// An absolute address, http or https, as libcurl itself understands it. A value.
struct Url {
    std::string scheme;  // "http" or "https"
    std::string host;    // lower case; IPv6 in brackets
    std::string port;    // always there
    std::string text;    // the whole address

    // At most 8 KiB, no user and password in it. Errors: invalid.
    static Result<Url> parse(std::string_view text);
    // Who may see a token meant for this address: scheme, host and port.
    std::string origin() const { return scheme + "://" + host + ":" + port; }
    bool is_loopback() const;
};

// https always; http to this machine, or to anybody when `insecure`.
bool may_visit(const Url& url, bool insecure);
// The same for a redirection, which moreover never leads from https to http.
bool may_follow(const Url& from, const Url& to, bool insecure);

// A path of a repository as part of an address: everything but letters, digits and "-._~/" in
// percent form.
std::string encode_path(std::string_view path);
// The same with "/" encoded too: a value of a query.
std::string encode_query_value(std::string_view value);

}  // namespace hearth::fetch
