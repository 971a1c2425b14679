#pragma once

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <exception>
#include <optional>
#include <utility>

#include "runtime/awaitable.h"

namespace hearth::runtime {

// Runs `io` on the calling thread until `work` has ended, and returns its value. For commands and
// tests: never on a shard. `work` bounds its own waits.
template <class T>
T run_blocking(boost::asio::io_context& io, Awaitable<T> work) {
    std::optional<T> value;
    std::exception_ptr failure;
    boost::asio::co_spawn(io, std::move(work), [&](std::exception_ptr error, T result) {
        failure = error;
        value.emplace(std::move(result));
    });
    io.restart();
    while (!value && io.run_one() > 0) {
    }
    if (failure) std::rethrow_exception(failure);
    return *std::move(value);
}

}  // namespace hearth::runtime
