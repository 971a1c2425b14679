#pragma once

// For tests only: begins a coroutine on an io_context that another thread runs, or that runs later.
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/use_future.hpp>
#include <future>
#include <utility>

#include "runtime/awaitable.h"

namespace hearth::testing {

template <class T>
std::future<T> start(boost::asio::io_context& io, Awaitable<T> work) {
    return boost::asio::co_spawn(io, std::move(work), boost::asio::use_future);
}

}  // namespace hearth::testing
