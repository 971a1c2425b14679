#include "backends/replicas/hedge.h"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/this_coro.hpp>

namespace hearth::replicas {

namespace asio = boost::asio;

Awaitable<std::reference_wrapper<asio::io_context>> this_io() {
    const asio::any_io_executor executor = co_await asio::this_coro::executor;
    co_return static_cast<asio::io_context&>(asio::query(executor, asio::execution::context));
}

}  // namespace hearth::replicas
