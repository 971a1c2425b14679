#include "runtime/deadline.h"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/experimental/parallel_group.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/system/system_error.hpp>

namespace asio = boost::asio;

namespace hearth {
namespace {

bool is_abort(const std::exception_ptr& error) {
    try {
        std::rethrow_exception(error);
    } catch (const boost::system::system_error& failure) {
        return failure.code() == asio::error::operation_aborted;
    } catch (...) {
        return false;
    }
}

}  // namespace

Awaitable<Result<void>> sleep_until(Deadline deadline) {
    asio::steady_timer timer(co_await asio::this_coro::executor, deadline.when());
    const auto [error] = co_await timer.async_wait(asio::as_tuple(asio::use_awaitable));
    if (error) co_return fail(Code::Cancelled, "cancelled while waiting");
    co_return Result<void>();
}

namespace detail {

Awaitable<Finish> run_until(Deadline deadline, Awaitable<void> work) {
    const auto executor = co_await asio::this_coro::executor;
    asio::steady_timer timer(executor, deadline.when());
    // The group cancels whichever is still waiting when the first ends, and both when we are
    // cancelled ourselves; it completes only when both have ended.
    auto [order, failure, timer_error] =
        co_await asio::experimental::make_parallel_group(
            asio::co_spawn(executor, std::move(work), asio::deferred),
            timer.async_wait(asio::deferred))
            .async_wait(asio::experimental::wait_for_one(), asio::use_awaitable);
    const bool late = !timer_error && order[0] == 1;
    if (failure && !is_abort(failure)) std::rethrow_exception(failure);
    if (late) co_return Finish::Late;
    co_return failure ? Finish::Cancelled : Finish::Done;
}

}  // namespace detail
}  // namespace hearth
