#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/error.h"

namespace hearth::fetch {

// What a registry asks for with a 401: a token from `realm`.
// Source: distribution/distribution docs, "Token Authentication Specification".
struct Challenge {
    std::string realm;    // an address
    std::string service;  // may be empty, as `scope`
    std::string scope;

    // The address at which the token is fetched.
    std::string token_url() const;
};

// The value of WWW-Authenticate; nullopt when it is no Bearer challenge with a realm, or longer
// than 4 KiB.
std::optional<Challenge> parse_challenge(std::string_view value);

// The token in the answer of the realm. Errors: bad_registry.
Result<std::string> parse_token(std::string_view document);

// True when `token` can stand in a header: visible ASCII, 1 to 16,384 bytes.
bool is_token(std::string_view token);

}  // namespace hearth::fetch
