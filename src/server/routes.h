#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "http/server.h"
#include "runtime/awaitable.h"

namespace hearth::server {

struct Gateway;

// One row per route: a dialect's function under a method and a path. `prefix` true: the path and
// everything below it.
struct Route {
    http::Method method;
    std::string_view path;
    Awaitable<void> (*handle)(const Gateway& gateway, http::Exchange& exchange);
    bool prefix = false;
};

// Every route of the server. docs/openapi.yaml names the same ones, which a test compares.
std::span<const Route> routes();

// Finds the route and runs it; answers 404 and 405 (with Allow) in the dialect the path belongs to.
// HEAD is served wherever GET is.
Awaitable<void> dispatch(const Gateway& gateway, http::Exchange& exchange);

// What the HTTP layer refuses by itself, in the dialect the path belongs to; empty: OpenAI's, and
// wherever the path is not known. As of http::ErrorBody.
std::string refusal_body(int status, std::string_view message, const http::Request* head);

}  // namespace hearth::server
