#include <boost/json.hpp>

#include "api/json_text.h"
#include "server/answer.h"
#include "server/surfaces.h"

namespace hearth::server {
namespace json = boost::json;
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

// What models may take, what they take, and why that changed.
Awaitable<void> memory(const Gateway& gateway, http::Exchange& exchange) {
    const worker::MemoryLedger& ledger = gateway.workers.ledger();
    json::array models;
    for (const auto& entry : ledger.entries()) {
        models.push_back({{"model", entry.model},
                          {"bytes", json::value_from(entry.bytes)},
                          {"why", entry.why},
                          {"leaving", entry.leaving}});
    }
    json::array events;
    for (const auto& event : ledger.events()) {
        std::string when;
        api::append_time(when, std::chrono::duration_cast<std::chrono::nanoseconds>(
                                   event.when.time_since_epoch())
                                   .count());
        events.push_back({{"at", when}, {"model", event.model}, {"what", event.what}});
    }
    co_await answer(
        exchange,
        {.body = json::serialize(json::object{{"budget", json::value_from(ledger.budget())},
                                              {"models", std::move(models)},
                                              {"evictions", ledger.evictions()},
                                              {"events", std::move(events)}})});
}

}  // namespace hearth::server
