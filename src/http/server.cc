#include "http/server.h"

#include <unistd.h>

#include <boost/asio/io_context.hpp>
#include <future>
#include <vector>

#include "base/thread_safety.h"
#include "http/address.h"
#include "http/server_shard.h"
#include "runtime/shard.h"
#include "telemetry/log.h"

namespace hearth::http {

struct Server::Impl {
    Impl(runtime::Shards& all, ServerOptions options, Handler handler)
        : shards(all), common{.options = options, .handler = std::move(handler)} {}

    runtime::Shards& shards;
    ServerCommon common;
    std::vector<std::unique_ptr<ServerShard>> parts;
    Mutex mutex;
    std::vector<std::string> unix_paths GUARDED_BY(mutex);
    bool stopped GUARDED_BY(mutex) = false;
};

Server::Server(runtime::Shards& shards, ServerOptions options, Handler handler)
    : impl_(std::make_unique<Impl>(shards, options, std::move(handler))) {
    for (std::size_t i = 0; i < shards.size(); ++i) {
        impl_->parts.push_back(std::make_unique<ServerShard>(shards.io(i), impl_->common));
    }
}

Server::~Server() = default;

Result<std::string> Server::listen(const std::string& address) {
    MutexLock lock(impl_->mutex);
    if (impl_->stopped) return fail(Code::Unavailable, "the server is stopping");
    TRY(Listening listening, listen_on(address, impl_->parts.size()));
    if (!listening.unix_path.empty()) impl_->unix_paths.push_back(listening.unix_path);
    for (std::size_t i = 0; i < impl_->parts.size(); ++i) {
        impl_->shards.post(
            i, [part = impl_->parts[i].get(), fd = std::move(listening.sockets[i])]() mutable {
                part->listen(std::move(fd));
            });
    }
    return listening.address;
}

void Server::stop(std::chrono::milliseconds grace) {
    // Cancelled connections need a moment to unwind after the grace.
    constexpr std::chrono::seconds kUnwindTime{10};
    std::vector<std::string> paths;
    {
        MutexLock lock(impl_->mutex);
        if (std::exchange(impl_->stopped, true)) return;
        paths = impl_->unix_paths;
    }
    for (const std::string& path : paths) ::unlink(path.c_str());
    std::vector<std::future<void>> empty;
    for (std::size_t i = 0; i < impl_->parts.size(); ++i) {
        auto told = std::make_shared<std::promise<void>>();
        empty.push_back(told->get_future());
        impl_->shards.post(i, [part = impl_->parts[i].get(), grace, told] {
            part->drain(grace, [told] { told->set_value(); });
        });
    }
    const auto end = std::chrono::steady_clock::now() + grace + kUnwindTime;
    for (auto& part : empty) {
        if (part.wait_until(end) == std::future_status::timeout) {
            log::error("a shard did not stop in time");
        }
    }
}

std::size_t Server::connections_approx() const {
    return impl_->common.connections.load(std::memory_order_relaxed);
}

}  // namespace hearth::http
