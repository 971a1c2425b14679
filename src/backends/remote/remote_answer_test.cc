// An answer on its way: what is read of it, and what becomes of the server's standing.
#include <array>

#include "backends/remote/remote_backend_fixture.h"
#include "runtime/task_group.h"

namespace hearth::remote {
namespace {

class RemoteAnswerTest : public RemoteBackendTest {
  protected:
    // Makes the call and leaves while it waits.
    void call_and_leave(std::chrono::milliseconds after) {
        testing::start(shards_.io(0), leave(after)).get();
    }

  private:
    Awaitable<void> call() {
        (void)co_await backend().generate(request_, sink_, Deadline::after(limit_));
    }
    Awaitable<void> leave(std::chrono::milliseconds after) {
        runtime::TaskGroup tasks(shards_.io(0));
        tasks.spawn("call", call());
        (void)co_await sleep_until(Deadline::after(after));
        co_await tasks.stop();
    }
};

// Reads a piece and looks at something else for a while.
class SlowSink final : public inference::Sink {
  public:
    SlowSink(bool relays, std::chrono::milliseconds pause) : relays_(relays), pause_(pause) {}
    void begin(inference::Origin) override {}
    Awaitable<Result<void>> push(boost::json::object) override { return rest(); }
    Awaitable<Result<void>> alive() override { co_return Result<void>(); }
    bool relays() const override { return relays_; }
    Awaitable<Result<void>> relay(std::string_view, bool) override { return rest(); }

  private:
    Awaitable<Result<void>> rest() { co_return co_await sleep_until(Deadline::after(pause_)); }
    const bool relays_;
    const std::chrono::milliseconds pause_;
};

TEST_F(RemoteAnswerTest, ACallerWhoLeavesSaysNothingOfTheServer) {
    serve([](testing::RawSocket& socket, int number) {
        if (number % 2 == 0) {
            socket.send(whole(500, R"({"error":{"message":"broken"}})"));
        } else {
            (void)socket.read_some(5'000ms);
        }
    });
    EXPECT_FALSE(generate());
    call_and_leave(100ms);
    EXPECT_EQ(counted("left"), 1);
    EXPECT_EQ(counted("refused"), 0);
    EXPECT_EQ(upstream_->health(), inference::Health::Ready);
    // The second failure in a row, of the two that open the breaker.
    EXPECT_FALSE(generate());
    EXPECT_EQ(upstream_->health(), inference::Health::Down);
}

TEST_F(RemoteAnswerTest, TheEndOfTheCallersTimeInsideAnAnswerIsNotTheServersFault) {
    options_.breaker.failures_max = 1;
    limit_ = 200ms;
    serve([](testing::RawSocket& socket, int) {
        socket.send(std::string(kStreamHead) + kRole + kWord);
        (void)socket.read_some(5'000ms);
    });
    const auto reply = generate();
    ASSERT_FALSE(reply);
    EXPECT_EQ(reply.error().code, Code::DeadlineExceeded);
    EXPECT_EQ(counted("failed"), 1);
    EXPECT_EQ(upstream_->health(), inference::Health::Ready);
}

TEST_F(RemoteAnswerTest, AProbeThatBeginsToAnswerIsEnough) {
    options_.breaker = {.failures_max = 1, .open_time = 20ms};
    serve([](testing::RawSocket& socket, int number) {
        if (number == 0) return;
        socket.send(std::string(kStreamHead) + kRole + kWord);
        if (number == 1) (void)socket.read_some(1'000ms);
        socket.send(kEnd);
    });
    EXPECT_FALSE(generate());
    EXPECT_EQ(upstream_->health(), inference::Health::Down);
    std::this_thread::sleep_for(30ms);
    KeepingSink first(false);
    auto probe =
        testing::start(shards_.io(0), backend().generate(request_, first, Deadline::after(limit_)));
    ASSERT_EQ(probe.wait_for(200ms), std::future_status::timeout);
    const auto other = generate();
    EXPECT_TRUE(other) << other.error().message;
    EXPECT_EQ(probe.wait_for(0ms), std::future_status::timeout);
    EXPECT_TRUE(probe.get());
}

TEST_F(RemoteAnswerTest, ASlowReaderIsNoFaultOfTheServers) {
    options_.idle_time = 80ms;
    serve([](testing::RawSocket& socket, int) {
        socket.send(std::string(kStreamHead) + kRole + kWord);
        for (int i = 0; i < 4; ++i) {
            std::this_thread::sleep_for(30ms);
            socket.send(kWord);
        }
        socket.send(kEnd);
    });
    for (const bool own : {false, true}) {
        if (own) own_words(true);
        SlowSink sink(own, 130ms);
        const auto reply = generate(sink);
        EXPECT_TRUE(reply) << own << reply.error().message;
    }
    EXPECT_EQ(counted("ok"), 2);
}

TEST_F(RemoteAnswerTest, SignsOfLifeCountWhereNothingIsSaid) {
    options_.idle_time = 100ms;
    serve([](testing::RawSocket& socket, int) {
        socket.send(std::string(kStreamHead) + kRole + kWord);
        for (int i = 0; i < 6; ++i) {
            std::this_thread::sleep_for(50ms);
            socket.send(": thinking\n\n");
        }
        socket.send(kEnd);
    });
    const auto reply = generate();
    EXPECT_TRUE(reply) << reply.error().message;
}

// Only what brings news is looked at closely; nothing of it is missed.
TEST_F(RemoteAnswerTest, ARelayedStreamIsWatchedToItsEnd) {
    own_words(true);
    const std::string words = kRole + kWord + kWord + kWord;
    answers(std::string(kStreamHead) + words + kEnd);
    const auto reply = generate(relaying_);
    ASSERT_TRUE(reply) << reply.error().message;
    EXPECT_EQ(relaying_.raw, words + kEnd);
    EXPECT_EQ(reply->usage.prompt_tokens, 5U);
    EXPECT_EQ(reply->usage.completion_tokens, 1U);
    constexpr std::array kBad = {
        "data: {\"error\":{\"message\":\"overloaded\",\"type\":\"overloaded_error\"}}\n\n",
        "data: {\"object\":\"error\",\"message\":\"CUDA is gone\"}\n\n", "data: {\"choices\":\n\n",
        "data: 7\n\n", "event: x\r\ndata: {\"error\":\"no\"}\r\n\r\n"};
    for (const std::string_view bad : kBad) {
        backend_.reset();
        answers(std::string(kStreamHead) + words + std::string(bad) + kEnd);
        KeepingSink sink(true);
        EXPECT_FALSE(generate(sink)) << bad;
        EXPECT_EQ(sink.raw, words) << bad;
    }
}

struct PlainCase {
    std::string_view kind;
    std::string_view event;
    bool plain;
};

TEST(IsPlain, KnowsAPieceOfTextFromNews) {
    constexpr std::array kCases = {
        PlainCase{"openai", "data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\n", true},
        PlainCase{"openai", "data:{\"choices\":[],\"usage\":null}\n\n", true},
        PlainCase{"openai", "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":1}}\n\n", false},
        PlainCase{"openai", "data: {\"timings\":{}}\n\n", false},
        PlainCase{"openai", "data: [DONE]\n\n", false},
        PlainCase{"openai", "data: {\ndata: }\n\n", false},
        PlainCase{"openai", ": comment\n\n", false},
        PlainCase{"anthropic",
                  "event: content_block_delta\ndata: {\"type\":\"content_block_delta\"}\n\n", true},
        PlainCase{"anthropic", "event: content_block_delta\ndata: {\"type\":\"error\"}\n\n", false},
        PlainCase{"anthropic", "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n", false},
        PlainCase{"ollama", "{\"message\":{\"content\":\"a\"},\"done\":false}\n", true},
        PlainCase{"ollama", "{\"message\":{\"content\":\"\"},\"done\":true}\n", false},
        PlainCase{"ollama", "{\"error\":\"no\"}\n", false},
        PlainCase{"ollama", "{\n", false},
        PlainCase{"triton", "data: {\"text_output\":\"a\"}\n\n", false},
    };
    for (const PlainCase& one : kCases) {
        const auto stream = make_wire(one.kind)->stream({}, {});
        EXPECT_EQ(stream->is_plain(one.event), one.plain) << one.kind << ": " << one.event;
    }
}

}  // namespace
}  // namespace hearth::remote
