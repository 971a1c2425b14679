#include "runtime/shard.h"

#include <pthread.h>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <exception>
#include <string>
#include <thread>
#include <vector>

#include "base/error.h"
#include "telemetry/log.h"

namespace hearth::runtime {
namespace {

struct Place {
    const void* shards = nullptr;
    std::size_t index = 0;
};
thread_local Place place;

struct Shard {
    // Concurrency hint 1: one thread runs this context, others may only post to it.
    boost::asio::io_context io{1};
    boost::asio::executor_work_guard<boost::asio::io_context::executor_type> guard{
        io.get_executor()};
    std::thread thread;
};

void run(Shard& shard) {
    for (;;) {
        try {
            shard.io.run();
            return;
        } catch (const std::exception& error) {
            // A handler that throws must not take the other connections of its shard down.
            log::error("shard handler threw error=\"{}\"", error.what());
        }
    }
}

}  // namespace

struct Shards::Impl {
    std::vector<std::unique_ptr<Shard>> shards;
    bool started = false;
};

Shards::Shards(std::size_t count) : impl_(std::make_unique<Impl>()) {
    const std::size_t wanted = count == 0 ? cpu_quota() : count;
    for (std::size_t i = 0; i < wanted; ++i) impl_->shards.push_back(std::make_unique<Shard>());
}

Shards::~Shards() { stop(); }

std::size_t Shards::size() const { return impl_->shards.size(); }

boost::asio::io_context& Shards::io(std::size_t shard) {
    CHECK(shard < size());
    return impl_->shards[shard]->io;
}

std::size_t Shards::current() const {
    CHECK(place.shards == impl_.get());
    return place.index;
}

void Shards::post(std::size_t shard, std::move_only_function<void()> work) {
    boost::asio::post(io(shard), std::move(work));
}

void Shards::start() {
    CHECK(!impl_->started);
    impl_->started = true;
    for (std::size_t i = 0; i < size(); ++i) {
        impl_->shards[i]->thread = std::thread([impl = impl_.get(), i] {
            place = {impl, i};
            pthread_setname_np(pthread_self(),
                               ("shard-" + std::to_string(i)).substr(0, 15).c_str());
            run(*impl->shards[i]);
        });
    }
}

void Shards::stop() {
    for (auto& shard : impl_->shards) shard->io.stop();
    for (auto& shard : impl_->shards) {
        if (shard->thread.joinable()) shard->thread.join();
    }
}

}  // namespace hearth::runtime
