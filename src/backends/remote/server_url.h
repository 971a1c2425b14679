#pragma once

#include <string>
#include <string_view>

#include "base/error.h"

namespace hearth::remote {

// Where a server elsewhere is reached.
struct ServerUrl {
    bool tls = false;
    std::string host;     // for the certificate and for people; an IPv6 address without brackets
    std::string address;  // "HOST:PORT" as http::Client takes it
    std::string base;     // the path before every route, without a slash at its end: "" or "/v1"

    // "http://box:8000", "https://api.example.com/v1/". Neither user nor query nor fragment.
    // Errors: InvalidArgument; they do not repeat a user or a password in it.
    static Result<ServerUrl> parse(std::string_view text);
};

}  // namespace hearth::remote
