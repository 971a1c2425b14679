#include "server/app.h"

#include <csignal>
#include <ctime>

#include "base/format.h"
#include "http/server.h"
#include "runtime/shard.h"
#include "runtime/signals.h"
#include "server/candidates.h"
#include "server/elsewhere.h"
#include "server/gateway.h"
#include "server/routes.h"
#include "server/surfaces.h"
#include "telemetry/log.h"

namespace hearth::server {
namespace {

constexpr std::chrono::seconds kFolderPoll{2};
// For servers elsewhere to say what they serve, before calls come.
constexpr std::chrono::milliseconds kListPatience{1'000};

log::Level parse_level(std::string_view text) {
    if (text == "debug") return log::Level::Debug;
    if (text == "warn") return log::Level::Warn;
    if (text == "error") return log::Level::Error;
    if (text == "off") return log::Level::Off;
    return log::Level::Info;
}

bool is_loopback(std::string_view address) {
    return address.starts_with("unix:") || address.starts_with("127.") ||
           address.starts_with("[::1]:") || address.starts_with("localhost:");
}

std::string printable(const std::string& address) {
    return address.starts_with("unix:") ? address : "http://" + address;
}

// Names mean models as in requests: without regard to case, and to a tag that is not written.
pipeline::Serve::ModeOf mode_of_models(const CacheSection& section) {
    auto modes = section.modes();
    CHECK(modes);  // parse_config has read every entry
    if (modes->empty()) return nullptr;
    return [modes = *std::move(modes)](std::string_view model) {
        for (const auto& [name, mode] : modes) {
            if (same_model(name, model) || same_model(name, without_tag(model))) return mode;
        }
        return cache::Mode::Auto;
    };
}

cache::AnswersOptions answers_options(const CacheSection& section) {
    return {.memory_bytes_max = section.memory_mib << 20, .lives = section.lives};
}

// Every address of the configuration, bound; the first as bound (a port 0 has become a real one).
Result<std::string> listen_all(http::Server& server, const std::vector<std::string>& addresses) {
    std::string first;
    for (const auto& address : addresses) {
        if (!is_loopback(address)) {
            return fail(
                Code::InvalidArgument,
                format("{} reaches beyond this machine, which needs access keys; this version has "
                       "none, so listen on a loopback address or a Unix socket",
                       address));
        }
        TRY(const auto bound, server.listen(address));
        log::info("listening address={}", bound);
        if (first.empty()) first = bound;
    }
    if (first.empty()) return fail(Code::InvalidArgument, "server.listen names no address");
    return first;
}

// The old configuration stays in force where the new one cannot be.
void reload(const Config& running, const std::function<Result<Config>()>& load,
            Elsewhere& elsewhere) {
    const auto next = load();
    const Result<void> applied =
        next ? elsewhere.apply(*next, kListPatience) : Result<void>(std::unexpected(next.error()));
    if (!applied) {
        log::error("configuration refused, the one before stays reason=\"{}\"",
                   applied.error().message);
        return;
    }
    log::info("configuration applied backends={}", next->backends.size());
    for (const std::string& section : changed_sections(running, *next)) {
        log::warn("section {} has changed and waits for the next start", section);
    }
}

void wait_for_stop(const runtime::SignalWaiter& signals, Workers& workers,
                   const std::function<void()>& on_hangup) {
    for (;;) {
        const auto signal = signals.wait(kFolderPoll);
        if (!signal) {
            workers.rescan_if_changed();
        } else if (*signal == SIGHUP) {
            workers.rescan();
            on_hangup();
        } else {
            log::info("stopping signal={}", *signal);
            return;
        }
    }
}

}  // namespace

Result<void> serve_until_signal(const std::function<Result<Config>()>& load,
                                const std::function<void(const std::string&)>& ready) {
    TRY(const Config config, load());
    log::configure("hearth", parse_level(config.log.level));
    const runtime::SignalWaiter signals({SIGTERM, SIGINT, SIGHUP});
    metrics::Registry registry;
    runtime::Shards shards(config.server.shards);
    Workers workers(config, shards, registry);
    Directory directory(workers, shards, registry);
    Elsewhere elsewhere(directory, shards, registry);
    cache::Answers answers(answers_options(config.cache), registry);
    const pipeline::Serve serve([&](std::string_view model) { return directory.route(model); },
                                config.cache.memory_mib > 0 ? &answers : nullptr,
                                mode_of_models(config.cache));
    ModelStore store(workers, config.store_dir());
    Gateway gateway{.config = config,
                    .registry = registry,
                    .workers = workers,
                    .directory = directory,
                    .serve = serve,
                    .answers = answers,
                    .store = store,
                    .started_unix = std::time(nullptr)};
    http::ServerOptions http_options = config.server.http;
    http_options.streams_body = streams_body;
    http_options.error_body = refusal_body;
    http::Server server(shards, http_options,
                        [&](http::Exchange& exchange) { return dispatch(gateway, exchange); });
    shards.start();
    workers.rescan();
    Result<void> started = elsewhere.apply(config, kListPatience);
    if (started) {
        const auto address = listen_all(server, config.server.listen);
        if (address) {
            ready(printable(*address));
            wait_for_stop(signals, workers, [&] { reload(config, load, elsewhere); });
        } else {
            started = std::unexpected(address.error());
        }
    }
    gateway.draining = true;
    server.stop(config.server.drain_time);
    elsewhere.stop();
    workers.stop();
    shards.stop();
    return started;
}

}  // namespace hearth::server
