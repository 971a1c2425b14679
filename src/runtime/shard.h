#pragma once

#include <cstddef>
#include <functional>
#include <memory>

namespace boost::asio {
class io_context;
}

namespace hearth::runtime {

// One io_context and one thread per shard; a shard never blocks. Thread-safe: size, io, post, stop.
class Shards {
  public:
    // `count` 0: as many as the process may use (cpu_quota()).
    explicit Shards(std::size_t count);
    ~Shards();  // stop() and join
    Shards(const Shards&) = delete;
    Shards& operator=(const Shards&) = delete;

    std::size_t size() const;
    boost::asio::io_context& io(std::size_t shard);
    // The shard the calling thread belongs to. CHECKs that it is one.
    std::size_t current() const;
    // Runs `work` on that shard soon.
    void post(std::size_t shard, std::move_only_function<void()> work);

    void start();
    // Ends the threads once their io_contexts are stopped; work not run is dropped. Idempotent.
    void stop();

  private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

// Cores this process may use: the smaller of its affinity mask and its cgroup CPU quota (v1 and
// v2), rounded up, at least 1.
std::size_t cpu_quota();

}  // namespace hearth::runtime
