#pragma once

// The one Boost type public headers may name.
#include <boost/asio/awaitable.hpp>

namespace hearth {

template <class T>
using Awaitable = boost::asio::awaitable<T>;

}  // namespace hearth
