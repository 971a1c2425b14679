#include "server/answer.h"

#include <atomic>
#include <random>

#include "base/format.h"

namespace hearth::server {
namespace {

// Unique over restarts by its random part, over requests by its count.
std::string next_request_id() {
    static const std::uint32_t process = std::random_device()();
    static std::atomic<std::uint64_t> count = 0;
    return format("{:08x}{:010x}", process, count.fetch_add(1, std::memory_order_relaxed));
}

std::string server_timing(const std::vector<pipeline::Step>& steps) {
    std::string out;
    for (const auto& step : steps) {
        const double ms = std::chrono::duration<double, std::milli>(step.time).count();
        out += format("{}{};dur={:.3f}", out.empty() ? "" : ", ", step.name, ms);
    }
    return out;
}

}  // namespace

Awaitable<void> answer(http::Exchange& exchange, api::Reply reply, Provenance provenance) {
    http::Response response{.status = reply.status,
                            .content_type = std::move(reply.content_type),
                            .body = std::move(reply.body)};
    auto& headers = response.headers;
    headers.add("x-hearth-request-id", next_request_id());
    if (!provenance.backend.empty()) {
        headers.add("x-hearth-model", std::move(provenance.model));
        headers.add("x-hearth-backend", std::move(provenance.backend));
    }
    if (!provenance.steps.empty()) headers.add("server-timing", server_timing(provenance.steps));
    if (!provenance.allow.empty()) headers.add("allow", std::move(provenance.allow));
    if (reply.retry_after) headers.add("retry-after", format("{}", reply.retry_after->count()));
    (void)co_await exchange.send(std::move(response));
}

}  // namespace hearth::server
