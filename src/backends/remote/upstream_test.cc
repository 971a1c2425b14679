// Calls to one server elsewhere, which is a script: who may go, who waits, and what is told of it.
#include "backends/remote/upstream.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "testing/scripted_server.h"
#include "testing/start.h"

namespace hearth::remote {
namespace {

using namespace std::chrono_literals;

using Visited = std::shared_ptr<Result<Upstream::Visit>>;

// A future has no room for what cannot be made without a value.
Awaitable<Visited> visit_once(Upstream& upstream, Deadline deadline) {
    auto visit = co_await upstream.visit(deadline);
    co_return std::make_shared<Result<Upstream::Visit>>(std::move(visit));
}

class UpstreamTest : public ::testing::Test {
  protected:
    UpstreamTest() { shards_.start(); }
    ~UpstreamTest() override {
        upstream_.reset();
        shards_.stop();
    }

    Upstream& upstream() {
        if (!upstream_) {
            options_.url.address = server_.address();
            upstream_ = made();
        }
        return *upstream_;
    }
    std::unique_ptr<Upstream> made() {
        return std::make_unique<Upstream>(shards_, options_, make_wire("openai"),
                                          UpstreamMetrics(registry_, "box"));
    }
    std::future<Visited> begin_visit(Deadline deadline) {
        return testing::start(shards_.io(0), visit_once(upstream(), deadline));
    }
    Visited visit(Deadline deadline) { return begin_visit(deadline).get(); }
    bool waiting(double count) {
        for (int i = 0; i < 5'000 && queued() != count; ++i) std::this_thread::sleep_for(1ms);
        return queued() == count;
    }
    double queued() {
        return registry_.gauge("hearth_upstream_queued", "", {{"upstream", "box"}}).value();
    }
    bool tells_up(const char* line) {
        return registry_.expose().contains(
            std::string("\nhearth_upstream_up{upstream=\"box\"} ").append(line));
    }
    static Deadline soon() { return Deadline::after(10s); }

    runtime::Shards shards_{1};
    metrics::Registry registry_;
    UpstreamOptions options_{
        .name = "box", .kind = "openai", .concurrency = 1, .breaker = {.failures_max = 2}};
    std::atomic<int> calls_ = 0;
    testing::ScriptedServer server_{[this](testing::RawSocket& socket, int) {
        (void)socket.read_until("\r\n\r\n");
        ++calls_;
    }};
    std::unique_ptr<Upstream> upstream_;
};

const Error kSlowDown{.code = Code::RateLimited, .message = "slow down", .retry_after = 30s};

TEST_F(UpstreamTest, WhoWaitsForATurnIsNotSentIntoAPauseThatCameMeanwhile) {
    auto first = visit(soon());
    ASSERT_TRUE(*first);
    std::vector<std::future<Visited>> others;
    for (int i = 0; i < 5; ++i) others.push_back(begin_visit(soon()));
    ASSERT_TRUE(waiting(5));
    (*first)->failed(kSlowDown, 429);
    first.reset();
    for (auto& other : others) {
        const Visited refused = other.get();
        ASSERT_FALSE(*refused);
        EXPECT_EQ(refused->error().reason, "upstream_paused");
        EXPECT_GT(*refused->error().retry_after, 25s);
    }
    EXPECT_EQ(queued(), 0);
}

TEST_F(UpstreamTest, WhoWaitsIsCountedWhileAllWait) {
    auto first = visit(soon());
    auto leaves = begin_visit(Deadline::after(500ms));
    auto stays = begin_visit(soon());
    EXPECT_TRUE(waiting(2));
    EXPECT_EQ(leaves.get()->error().reason, "queue_timeout");
    EXPECT_TRUE(waiting(1));
    first.reset();
    EXPECT_TRUE(*stays.get());
    EXPECT_EQ(queued(), 0);
}

TEST_F(UpstreamTest, ADeadlineThatWasOverBeforeSaysNothingOfTheServer) {
    for (int i = 0; i < 5; ++i) {
        const auto asked =
            testing::start(shards_.io(0), upstream().list_models(Deadline::after(0ms))).get();
        EXPECT_EQ(asked.error().code, Code::DeadlineExceeded);
        EXPECT_EQ(visit(Deadline::after(0ms))->error().code, Code::DeadlineExceeded);
    }
    EXPECT_EQ(calls_, 0);
    EXPECT_EQ(upstream().health(), inference::Health::Ready);
}

TEST_F(UpstreamTest, OfOneThatIsRetiredNothingIsTold) {
    auto last = visit(soon());
    EXPECT_TRUE(tells_up("1"));
    upstream().retire();
    upstream().retire();
    EXPECT_FALSE(tells_up(""));
    const auto next = made();
    EXPECT_TRUE(tells_up("1"));
    (*last)->failed(kSlowDown, 429);
    EXPECT_EQ(upstream().health(), inference::Health::Down);
    EXPECT_TRUE(tells_up("1")) << "the next one has not failed";
}

}  // namespace
}  // namespace hearth::remote
