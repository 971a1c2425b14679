// http-echo-server: our HTTP server with nothing behind it, for the bench: GET /health answers a
// fixed body and POST /echo answers the body it got. Prints one ready line and serves until
// SIGTERM.
#include <csignal>
#include <cstdio>
#include <string>

#include "http/server.h"
#include "runtime/shard.h"
#include "runtime/signals.h"

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

int serve(const char* address, std::size_t shard_count) {
    runtime::SignalWaiter signals({SIGTERM, SIGINT});
    runtime::Shards shards(shard_count);
    http::Server server(shards, http::ServerOptions{}, answer);
    shards.start();
    const auto bound = server.listen(address);
    if (!bound) {
        std::fprintf(stderr, "http-echo-server: %s\n", bound.error().message.c_str());
        return 1;
    }
    std::printf("ready http://%s\n", bound->c_str());
    std::fflush(stdout);
    while (!signals.wait(std::chrono::hours(1))) {
    }
    server.stop(std::chrono::seconds(1));
    shards.stop();
    return 0;
}

}  // namespace
}  // namespace hearth::bench

int main(int argc, char** argv) {
    return hearth::bench::serve(argc > 1 ? argv[1] : "127.0.0.1:0",
                                argc > 2 ? static_cast<std::size_t>(std::stoul(argv[2])) : 0);
}
