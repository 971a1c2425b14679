#include "server/answer.h"

#include "base/format.h"
#include "telemetry/unique_id.h"

namespace hearth::server {
namespace {

std::string server_timing(const std::vector<pipeline::Step>& steps) {
    std::string out;
    for (const auto& step : steps) {
        const double ms = std::chrono::duration<double, std::milli>(step.time).count();
        out += format("{}{};dur={:.3f}", out.empty() ? "" : ", ", step.name, ms);
    }
    return out;
}

void add_headers(http::Headers& headers, const Provenance& provenance) {
    const std::string& known = provenance.request_id;
    headers.add("x-hearth-request-id", known.empty() ? unique_id() : known);
    if (!known.empty()) headers.add("request-id", known);
    if (!provenance.backend.empty()) {
        headers.add("x-hearth-model", provenance.model);
        headers.add("x-hearth-backend", provenance.backend);
        headers.add("x-hearth-cache", to_string(provenance.outcome));
    }
    if (!provenance.steps.empty()) headers.add("server-timing", server_timing(provenance.steps));
    if (!provenance.allow.empty()) headers.add("allow", provenance.allow);
}

}  // namespace

Awaitable<Result<void>> start_answer(http::Exchange& exchange, std::string_view content_type,
                                     const Provenance& provenance) {
    http::Response head{.content_type = std::string(content_type)};
    add_headers(head.headers, provenance);
    head.headers.add("cache-control", "no-cache");
    co_return co_await exchange.start(std::move(head));
}

Awaitable<void> answer(http::Exchange& exchange, api::Reply reply, Provenance provenance) {
    http::Response response{.status = reply.status,
                            .content_type = std::move(reply.content_type),
                            .body = std::move(reply.body)};
    add_headers(response.headers, provenance);
    if (reply.retry_after) {
        response.headers.add("retry-after", format("{}", reply.retry_after->count()));
    }
    (void)co_await exchange.send(std::move(response));
}

}  // namespace hearth::server
