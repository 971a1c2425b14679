#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

#include "api/reply.h"
#include "http/server.h"
#include "pipeline/serve.h"
#include "runtime/awaitable.h"

namespace hearth::server {

// What stands in the headers of an answer beside the dialect's own body.
struct Provenance {
    std::string model;
    std::string backend;
    std::vector<pipeline::Step> steps;
    pipeline::Outcome outcome = pipeline::Outcome::Bypass;
    std::string allow = {};       // of a 405
    std::string request_id = {};  // that the body names as well; empty: one is made
};

// Sends a dialect's reply with the headers every answer carries: x-hearth-request-id, server-timing
// and, where a backend answered or had done so, x-hearth-model, x-hearth-backend and
// x-hearth-cache. A request_id stands in request-id too, where clients of the Anthropic dialect
// look for it. A client that has left is not an error.
Awaitable<void> answer(http::Exchange& exchange, api::Reply reply, Provenance provenance = {});

// The same headers, before an answer that is streamed.
Awaitable<Result<void>> start_answer(http::Exchange& exchange, std::string_view content_type,
                                     const Provenance& provenance);

}  // namespace hearth::server
