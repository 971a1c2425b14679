#include "server/answer.h"
#include "server/surfaces.h"

namespace hearth::server {
namespace {

api::Reply state(int status, std::string_view word) {
    return {.status = status, .body = "{\"status\":\"" + std::string(word) + "\"}"};
}

}  // namespace

Awaitable<void> health_live(const Gateway&, http::Exchange& exchange) {
    co_await answer(exchange, state(200, "ok"));
}

Awaitable<void> health_ready(const Gateway& gateway, http::Exchange& exchange) {
    const bool ready = !gateway.draining.load(std::memory_order_relaxed);
    co_await answer(exchange, ready ? state(200, "ok") : state(503, "draining"));
}

// Load balancers that know one path want readiness.
Awaitable<void> health(const Gateway& gateway, http::Exchange& exchange) {
    co_await health_ready(gateway, exchange);
}

Awaitable<void> metrics_text(const Gateway& gateway, http::Exchange& exchange) {
    co_await answer(exchange, {.content_type = "text/plain; version=0.0.4; charset=utf-8",
                               .body = gateway.registry.expose()});
}

}  // namespace hearth::server
