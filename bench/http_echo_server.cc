// http-echo-server: our HTTP server with nothing behind it, for the bench: GET /health answers a
// fixed body and POST /echo answers the body it got. Prints one ready line and serves until
// SIGTERM.
#include <string>

#include "bench_server.h"
#include "http/server.h"

namespace hearth::bench {
namespace {

Awaitable<void> answer(http::Exchange& exchange) {
    http::Response response;
    if (exchange.request().method == http::Method::Post) {
        response.body = exchange.take_request().body;
    } else {
        response.body = R"({"status":"ok"})";
    }
    (void)co_await exchange.send(std::move(response));
}

}  // namespace
}  // namespace hearth::bench

int main(int argc, char** argv) {
    return hearth::bench::serve_until_told(
        "http-echo-server", argc > 1 ? argv[1] : "127.0.0.1:0",
        argc > 2 ? static_cast<std::size_t>(std::stoul(argv[2])) : 0, hearth::bench::answer);
}
