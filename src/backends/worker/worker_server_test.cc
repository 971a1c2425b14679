#include "backends/worker/worker_server.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <boost/asio/io_context.hpp>
#include <condition_variable>
#include <filesystem>
#include <mutex>

#include "backends/worker/protocol.h"
#include "http/client.h"
#include "testing/processes.h"
#include "testing/run.h"
#include "tokens/byte_tokenizer.h"

namespace hearth::worker {
namespace {

using namespace std::chrono_literals;
using testing::eventually;

// Rows of ones. While closed, run() blocks.
class GatedEngine : public encoder::Engine {
  public:
    GatedEngine() {
        config_.family = "gated";
        config_.hidden = 4;
        config_.tokens_max = 1000;
    }
    const models::EncoderConfig& config() const override { return config_; }
    encoder::Precision precision() const override { return encoder::Precision::Bf16; }
    std::size_t sessions() const override { return 1; }
    std::size_t threads() const override { return 3; }
    Result<void> run(std::size_t, std::span<const std::int32_t>,
                     std::span<const std::uint32_t> lengths, std::span<float> out) override {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [&] { return open_; });
        for (float& value : out.first(lengths.size() * 4)) value = 1;
        texts_ += lengths.size();
        return {};
    }
    void open(bool value) {
        std::lock_guard lock(mutex_);
        open_ = value;
        changed_.notify_all();
    }
    std::size_t texts() {
        std::lock_guard lock(mutex_);
        return texts_;
    }

  private:
    models::EncoderConfig config_;
    std::mutex mutex_;
    std::condition_variable changed_;
    bool open_ = true;
    std::size_t texts_ = 0;
};

class WorkerServerTest : public ::testing::Test {
  public:
    WorkerServerTest() {
        std::string name = std::filesystem::temp_directory_path() / "ws-XXXXXX";
        folder_ = ::mkdtemp(name.data());
        socket_ = folder_ / "s";
    }
    ~WorkerServerTest() override {
        engine_.open(true);
        server_.reset();
        std::filesystem::remove_all(folder_);
    }
    void start(WorkerServerOptions options = {}) {
        options.socket = socket_;
        auto server = WorkerServer::start(engine_, tokenizer_, std::move(options));
        ASSERT_TRUE(server) << server.error().message;
        server_ = *std::move(server);
    }
    Result<http::Reply> send(http::Method method, std::string target, std::string body = {},
                             std::chrono::milliseconds time = 10s) {
        http::Client client("unix:" + socket_.string());
        return testing::run(
            io_,
            client.send({.method = method, .target = std::move(target), .body = std::move(body)},
                        Deadline::after(time)),
            20s);
    }
    Result<http::Reply> embed(std::string text, std::chrono::milliseconds time = 10s) {
        Call call{.time_left = 10s};
        call.request.inputs = {std::move(text)};
        return send(http::Method::Post, "/embed", encode_call(call), time);
    }
    Heartbeat heartbeat() {
        const auto reply = send(http::Method::Get, "/health");
        EXPECT_TRUE(reply) << reply.error().message;
        return *decode_heartbeat(reply->body);
    }

    boost::asio::io_context io_;
    std::filesystem::path folder_;
    std::filesystem::path socket_;
    GatedEngine engine_;
    tokens::ByteTokenizer tokenizer_;
    std::unique_ptr<WorkerServer> server_;
};

TEST_F(WorkerServerTest, AnswersACall) {
    start();
    const auto reply = embed("hello");
    ASSERT_TRUE(reply) << reply.error().message;
    EXPECT_EQ(reply->status, 200);
    EXPECT_EQ(reply->headers.find("content-type"), kBinary);
    const auto answer = decode_answer(reply->body);
    ASSERT_TRUE(answer);
    EXPECT_EQ(answer->vectors, std::vector<float>(4, 0.5F));
    EXPECT_EQ(answer->tokens, (std::vector<std::uint32_t>{7}));
}

TEST_F(WorkerServerTest, DescribesItself) {
    start();
    const auto info = decode_info(send(http::Method::Get, "/info")->body);
    ASSERT_TRUE(info);
    EXPECT_EQ(info->family, "gated");
    EXPECT_EQ(info->precision, "bf16");
    EXPECT_EQ(info->dimension, 4U);
    EXPECT_EQ(info->tokens_max, 1000U);
    EXPECT_EQ(info->threads, 3U);
}

TEST_F(WorkerServerTest, RefusesWhatItDoesNotUnderstand) {
    start();
    EXPECT_EQ(send(http::Method::Get, "/embed")->status, 404);
    EXPECT_EQ(send(http::Method::Post, "/unknown")->status, 404);
    const auto nonsense = send(http::Method::Post, "/embed", "nonsense");
    ASSERT_TRUE(nonsense);
    EXPECT_EQ(decode_error(nonsense->body)->code, Code::BadUpstream);
}

TEST_F(WorkerServerTest, ShowsARunningTaskInItsHeartbeat) {
    start();
    EXPECT_EQ(heartbeat().running, 0ms);
    engine_.open(false);
    std::thread caller([&] {
        boost::asio::io_context io;
        http::Client client("unix:" + socket_.string());
        Call call{.time_left = 10s};
        call.request.inputs = {"hello"};
        const auto reply = testing::run(
            io,
            client.send(
                {.method = http::Method::Post, .target = "/embed", .body = encode_call(call)},
                Deadline::after(20s)),
            30s);
        EXPECT_TRUE(reply && reply->status == 200);
    });
    EXPECT_TRUE(eventually([&] { return heartbeat().running >= 1ms; }));
    EXPECT_EQ(heartbeat().calls, 1U);
    engine_.open(true);
    caller.join();
    EXPECT_TRUE(eventually([&] { return heartbeat().running == 0ms; }));
    EXPECT_EQ(heartbeat().texts_total, 1U);
    EXPECT_EQ(heartbeat().tokens_total, 7U);
}

TEST_F(WorkerServerTest, DoesNotRunWhatACallerWhoLeftHadQueued) {
    start();
    engine_.open(false);
    EXPECT_FALSE(embed("running", 50ms));
    for (int i = 0; i < 5; ++i) EXPECT_FALSE(embed("queued", 20ms));
    EXPECT_TRUE(eventually([&] { return heartbeat().calls == 0; }));
    engine_.open(true);
    EXPECT_TRUE(embed("stayed"));
    EXPECT_EQ(engine_.texts(), 2U);
}

TEST_F(WorkerServerTest, BoundsTheCallsInside) {
    start({.calls_max = 1});
    EXPECT_TRUE(embed("alone"));
    engine_.open(false);
    std::thread first([&] {
        boost::asio::io_context io;
        http::Client client("unix:" + socket_.string());
        Call call{.time_left = 10s};
        call.request.inputs = {"first"};
        (void)testing::run(
            io,
            client.send(
                {.method = http::Method::Post, .target = "/embed", .body = encode_call(call)},
                Deadline::after(20s)),
            30s)
            .has_value();
    });
    EXPECT_TRUE(eventually([&] { return heartbeat().calls == 1; }));
    const auto over = embed("second");
    ASSERT_TRUE(over);
    EXPECT_EQ(decode_error(over->body)->code, Code::Overloaded);
    engine_.open(true);
    first.join();
}

}  // namespace
}  // namespace hearth::worker
