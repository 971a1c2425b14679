#pragma once

// Internal to http/: includes Asio.
#include <array>
#include <atomic>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <functional>
#include <list>
#include <memory>
#include <string>
#include <vector>

#include "http/connection.h"
#include "http/poller.h"
#include "http/reply_head.h"
#include "http/server.h"
#include "runtime/task_group.h"

namespace hearth::http {

// What all shards of one server share. Immutable but for the counter.
struct ServerCommon {
    ServerOptions options;
    Handler handler;
    std::atomic<std::size_t> connections{0};
};

// Accepts connections of one listening socket on one shard.
class Listener final : public Pollable {
  public:
    Listener(ServerShard& shard, UniqueFd fd);
    ~Listener() override;

  private:
    void on_events(std::uint32_t events) override;
    void on_deadline() override;
    void on_shutdown() override { shut_down_ = true; }
    bool accept_one();
    void pause();

    ServerShard& shard_;
    UniqueFd fd_;
    bool watching_ = false;
    bool shut_down_ = false;
};

// The part of a server on one shard. Shard-local, except that it is made and destroyed elsewhere.
class ServerShard {
  public:
    static constexpr std::size_t kReceiveSize = 64 << 10;

    ServerShard(boost::asio::io_context& io, ServerCommon& common);
    ~ServerShard();
    ServerShard(const ServerShard&) = delete;
    ServerShard& operator=(const ServerShard&) = delete;

    void listen(UniqueFd fd);
    void accepted(UniqueFd fd, std::string peer);
    // No new connections; idle ones end now, busy ones after their answer, all at `grace`. `done`
    // is called on the shard when none is left.
    void drain(std::chrono::milliseconds grace, std::move_only_function<void()> done);

    Poller& poller() { return poller_; }
    runtime::TaskGroup& tasks() { return tasks_; }
    const ServerOptions& options() const { return common_.options; }
    const Handler& handler() const { return common_.handler; }
    bool draining() const { return draining_; }
    std::array<char, kReceiveSize>& receive_buffer() { return *receive_buffer_; }
    std::string& head_buffer() {
        head_buffer_.clear();
        return head_buffer_;
    }
    std::string_view date() { return date_.now(); }

    std::unique_ptr<RequestReader> lend_reader();
    void take_back(std::unique_ptr<RequestReader> reader);
    // Sends what the connection has gathered at the end of this turn of the shard.
    void flush_soon(Connection& connection);

    void enter(Connection& connection);
    void leave(Connection& connection);

  private:
    Awaitable<void> serve_task(UniqueFd fd, std::string peer, runtime::TaskId task);
    void flush_all();

    boost::asio::io_context& io_;
    ServerCommon& common_;
    Poller& poller_;
    std::unique_ptr<std::array<char, kReceiveSize>> receive_buffer_;
    std::string head_buffer_;
    DateClock date_;
    std::vector<std::unique_ptr<RequestReader>> spare_readers_;
    std::vector<Connection*> to_flush_;
    bool flush_posted_ = false;
    bool draining_ = false;
    Connection* first_ = nullptr;
    std::list<Listener> listeners_;
    boost::asio::steady_timer grace_timer_;
    runtime::TaskGroup tasks_;
};

}  // namespace hearth::http
