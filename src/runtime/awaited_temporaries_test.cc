// Temporaries in awaited calls, which some compilers destroy twice or too early. The cases only
// prove something under the address sanitizer.
#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/error.h"
#include "testing/run.h"

namespace hearth {
namespace {

namespace asio = boost::asio;
using testing::run;

// Longer than any small-string buffer, so that a bad copy is seen.
const std::string kText = "a text that is too long to be stored in place";

struct Options {
    std::string a;
    std::string b;
    std::vector<std::string> list = {};
};

Awaitable<void> suspend() {
    co_await asio::post(co_await asio::this_coro::executor, asio::use_awaitable);
}

Awaitable<std::string> by_value(Options options) {
    co_await suspend();
    co_return options.a + options.b;
}

Awaitable<std::string> by_reference(const Options& options) {
    co_await suspend();
    co_return options.a + options.b;
}

Awaitable<std::string> owned(std::unique_ptr<Options> options) {
    co_await suspend();
    co_return options->a + options->b;
}

Awaitable<std::size_t> count(std::vector<std::string> list) {
    co_await suspend();
    co_return list.size();
}

Awaitable<std::string> call(std::function<std::string()> function) {
    co_await suspend();
    co_return function();
}

template <class Function>
Awaitable<std::string> call_template(Function function) {
    co_await suspend();
    co_return function();
}

struct Service {
    std::string name = kText;
    Awaitable<std::string> read() {
        co_await suspend();
        co_return name;
    }
};

Awaitable<Result<std::string>> result_of(Options options) {
    co_await suspend();
    co_return options.a;
}

Awaitable<std::string> lambdas() {
    std::string text = kText;
    std::string all = co_await call([text] { return text; });
    all += co_await call_template(
        [text, kept = std::make_shared<std::string>(text)] { return *kept + text; });
    co_return all;
}

Awaitable<std::string> aggregates() {
    std::string all = co_await by_value({.a = kText, .b = kText});
    all += co_await by_value(Options{kText, kText});
    all += co_await by_value(Options(kText, kText));
    all += co_await by_reference({.a = kText, .b = kText});
    all += co_await by_reference(Options{kText, kText});
    co_return all;
}

Awaitable<std::string> returned_aggregate() {
    co_return co_await by_value({.a = kText, .b = kText});
}

Awaitable<std::string> members_and_owners() {
    std::string all = co_await Service{}.read();
    all += co_await owned(std::make_unique<Options>(Options{kText, kText}));
    co_return all;
}

Awaitable<std::string> conditional(bool first) {
    std::string all = first ? co_await by_value({.a = kText, .b = kText}) : kText;
    all += co_await (first ? by_value(Options{kText, kText}) : owned(std::make_unique<Options>()));
    co_return all;
}

Awaitable<std::size_t> lists() { co_return co_await count({kText, kText, kText}); }

Awaitable<Result<std::string>> tried() {
    CO_TRY(auto first, co_await result_of({.a = kText, .b = kText}));
    CO_TRY(auto second, co_await result_of(Options{first, first}));
    co_return first + second;
}

Awaitable<std::string> spawned() {
    auto kept = std::make_unique<Options>(Options{kText, kText});
    co_return co_await asio::co_spawn(co_await asio::this_coro::executor, owned(std::move(kept)),
                                      asio::use_awaitable);
}

std::string times(std::size_t n) {
    std::string all;
    for (std::size_t i = 0; i < n; ++i) all += kText;
    return all;
}

TEST(AwaitedTemporaries, LiveUntilTheCallEnds) {
    asio::io_context io;
    EXPECT_EQ(run(io, lambdas()), times(3));
    EXPECT_EQ(run(io, aggregates()), times(10));
    EXPECT_EQ(run(io, returned_aggregate()), times(2));
    EXPECT_EQ(run(io, members_and_owners()), times(3));
    EXPECT_EQ(run(io, lists()), 3U);
    EXPECT_EQ(run(io, spawned()), times(2));
}

TEST(AwaitedTemporaries, LiveInConditionalExpressions) {
    asio::io_context io;
    EXPECT_EQ(run(io, conditional(true)), times(4));
    EXPECT_EQ(run(io, conditional(false)), times(1));
}

TEST(AwaitedTemporaries, LiveInTry) {
    asio::io_context io;
    const auto got = run(io, tried());
    ASSERT_TRUE(got);
    EXPECT_EQ(*got, times(2));
}

}  // namespace
}  // namespace hearth
