#pragma once

// For tests only: drives a coroutine from a plain function.
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <chrono>
#include <exception>
#include <optional>
#include <stdexcept>
#include <type_traits>
#include <utility>
#include <variant>

#include "runtime/awaitable.h"

namespace hearth::testing {
namespace detail {

template <class T, class Kept>
Awaitable<void> keep(Awaitable<T> work, std::optional<Kept>& kept) {
    if constexpr (std::is_void_v<T>) {
        co_await std::move(work);
        kept.emplace();
    } else {
        kept.emplace(co_await std::move(work));
    }
}

}  // namespace detail

// Runs `io` until `work` has ended and returns its value; rethrows what it throws. Throws
// std::runtime_error when it takes longer than `limit`. The caller's thread becomes io's thread.
template <class T>
T run(boost::asio::io_context& io, Awaitable<T> work,
      std::chrono::steady_clock::duration limit = std::chrono::seconds(2)) {
    using Kept = std::conditional_t<std::is_void_v<T>, std::monostate, T>;
    std::optional<Kept> kept;
    bool done = false;
    std::exception_ptr failure;
    boost::asio::co_spawn(io, detail::keep<T, Kept>(std::move(work), kept),
                          [&](std::exception_ptr error) {
                              failure = std::move(error);
                              done = true;
                          });
    const auto end = std::chrono::steady_clock::now() + limit;
    io.restart();
    while (!done && io.run_one_until(end) > 0) {
    }
    if (!done) throw std::runtime_error("the coroutine did not end in time");
    if (failure) std::rethrow_exception(failure);
    if constexpr (!std::is_void_v<T>) return std::move(*kept);
}

}  // namespace hearth::testing
