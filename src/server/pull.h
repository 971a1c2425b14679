#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "runtime/awaitable.h"
#include "runtime/deadline.h"

namespace boost::asio {
class io_context;
}

namespace hearth::server {

// One run of the downloader, hearth-fetch: a process of its own, which ends with this object and
// leaves what it has for the next. Shard-local.
class PullProcess {
  public:
    struct Options {
        std::string store;
        std::string model;
        bool insecure = false;
    };
    // Errors: NotFound (no such program), Internal.
    static Result<std::unique_ptr<PullProcess>> start(boost::asio::io_context& io, Options options);
    ~PullProcess();

    // The lines printed since the last call; waits for one. Empty: it has ended, and everything it
    // printed was handed out. Bound: kLinesMax wait; what is over is left out, as only the newest
    // progress counts.
    Awaitable<std::vector<std::string>> next_lines();

    static constexpr std::size_t kLinesMax = 1024;

  private:
    struct Lines;
    struct State;
    explicit PullProcess(std::unique_ptr<State> state);
    std::unique_ptr<State> state_;
};

}  // namespace hearth::server
