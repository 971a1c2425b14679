#include "bench_server.h"

#include <csignal>
#include <cstdio>
#include <utility>

#include "runtime/shard.h"
#include "runtime/signals.h"

namespace hearth::bench {

int serve_until_told(const char* program, const char* address, std::size_t shards,
                     http::Handler answer) {
    runtime::SignalWaiter signals({SIGTERM, SIGINT});
    runtime::Shards loops(shards);
    http::Server server(loops, http::ServerOptions{}, std::move(answer));
    loops.start();
    const auto bound = server.listen(address);
    if (!bound) {
        std::fprintf(stderr, "%s: %s\n", program, bound.error().message.c_str());
        return 1;
    }
    std::printf("ready http://%s\n", bound->c_str());
    std::fflush(stdout);
    while (!signals.wait(std::chrono::hours(1))) {
    }
    server.stop(std::chrono::seconds(1));
    loops.stop();
    return 0;
}

}  // namespace hearth::bench
