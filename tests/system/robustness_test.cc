#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <atomic>
#include <csignal>
#include <filesystem>
#include <thread>

#include "http_probe.h"
#include "server_process.h"

namespace hearth::system_test {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

std::string text_of_words(std::size_t words) {
    std::string text;
    for (std::size_t i = 0; i < words; ++i) text += "word ";
    return text;
}

// Clients that send one request after the other until the end of the test.
class Load {
  public:
    Load(std::string address, std::size_t clients) : address_(std::move(address)) {
        for (std::size_t i = 0; i < clients; ++i) threads_.emplace_back([this] { run(); });
    }
    ~Load() { stop(); }
    Load(const Load&) = delete;
    Load& operator=(const Load&) = delete;

    void stop() {
        stop_ = true;
        threads_.clear();
    }
    bool goes_on() {
        const int before = answered_;
        return eventually(seconds(60), [&] { return answered_ >= before + 20 || failures() > 0; });
    }
    int failures() const { return failed_; }

  private:
    void run() {
        try {
            HttpProbe probe(address_);
            while (!stop_) {
                // No two alike: one that was in a worker at two deaths is refused as poison.
                const std::string text = std::to_string(++sent_) + ' ' + text_of_words(100);
                const Reply reply =
                    probe.post("/v1/embeddings", embeddings_body("all-minilm", {text, "second"}));
                if (reply.status == 200) {
                    ++answered_;
                } else {
                    ++failed_;
                    ADD_FAILURE() << reply.status << ' ' << reply.body;
                }
            }
        } catch (const std::exception& error) {
            ++failed_;
            ADD_FAILURE() << error.what();
        }
    }

    const std::string address_;
    std::atomic<bool> stop_{false};
    std::atomic<int> sent_{0};
    std::atomic<int> answered_{0};
    std::atomic<int> failed_{0};
    std::vector<std::jthread> threads_;
};

TEST(Worker, KilledUnderLoadLosesNoAcceptedRequest) {
    const ServerProcess server;
    ASSERT_EQ(post(server.address(), "/v1/embeddings", embeddings_body("all-minilm", {"x"})).status,
              200);
    Load load(server.address(), 8);
    for (int kills = 0; kills < 3; ++kills) {
        ASSERT_TRUE(load.goes_on()) << server.log();
        const auto workers = server.worker_pids();
        ASSERT_EQ(workers.size(), 1U) << server.log();
        ASSERT_EQ(::kill(workers[0], SIGKILL), 0);
        const bool replaced = eventually(seconds(30), [&] {
            const auto now = server.worker_pids();
            return !now.empty() && now != workers;
        });
        ASSERT_TRUE(replaced) << server.log();
    }
    EXPECT_TRUE(load.goes_on()) << server.log();
    load.stop();
    EXPECT_EQ(load.failures(), 0) << server.log();
}

std::size_t count_of(const std::string& text, std::string_view part) {
    std::size_t count = 0;
    for (std::size_t at = 0; (at = text.find(part, at)) != std::string::npos; ++at) ++count;
    return count;
}

TEST(Worker, KilledTwiceByOneRequestRefusesItAndServesTheOthers) {
    const ServerProcess server;
    HttpProbe poison(server.address());
    std::vector<std::string> texts;
    for (int i = 0; i < 1'400; ++i) texts.push_back(std::to_string(i) + ' ' + text_of_words(200));
    const std::string body = embeddings_body("all-minilm", texts);
    poison.write("POST /v1/embeddings HTTP/1.1\r\nHost: localhost\r\nContent-Length: " +
                 std::to_string(body.size()) + "\r\n\r\n" + body);
    for (std::size_t death = 1; death <= 2; ++death) {
        const bool ready = eventually(
            seconds(60), [&] { return count_of(server.log(), "worker ready") >= death; });
        ASSERT_TRUE(ready) << server.log();
        std::this_thread::sleep_for(milliseconds(500));  // until it computes; it needs far longer
        const auto workers = server.worker_pids();
        ASSERT_EQ(workers.size(), 1U) << server.log();
        ASSERT_EQ(::kill(workers[0], SIGKILL), 0);
    }
    const Reply reply = poison.read_reply();
    EXPECT_EQ(reply.status, 400) << reply.body.substr(0, 300);
    EXPECT_EQ(reply.json().at("error").at("code").as_string(), "poison_request");
    EXPECT_EQ(post(server.address(), "/v1/embeddings", embeddings_body("all-minilm", {"x"})).status,
              200);
}

TEST(Connections, TenThousandIdleOnesCostLessThan100MiB) {
    // Started before our own limit is raised: the server must raise its own.
    const ServerProcess server;
    rlimit limit{};
    ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = limit.rlim_max;
    ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &limit), 0);
    constexpr std::size_t kCount = 10'000;
    if (limit.rlim_max < kCount + 500) GTEST_SKIP() << "the limit of open files is too low here";

    get(server.address(), "/health");
    const std::uint64_t before = server.resident_bytes();
    std::vector<std::unique_ptr<HttpProbe>> idle;
    for (std::size_t i = 0; i < kCount; ++i) {
        idle.push_back(std::make_unique<HttpProbe>(server.address()));
        ASSERT_EQ(idle.back()->get("/health").status, 200) << i;
    }
    const std::uint64_t after = server.resident_bytes();
    RecordProperty("bytes_per_connection", static_cast<int>((after - before) / kCount));
    if (!kSanitized) EXPECT_LT(after - before, 100ULL << 20);
    EXPECT_EQ(get(server.address(), "/health").status, 200);
    EXPECT_EQ(idle.front()->get("/health").status, 200);
}

TEST(Connections, OverTheirLimitAreRefused) {
    const ServerProcess server(
        {.arguments = {}, .environment = {"HEARTH_SERVER__CONNECTIONS_MAX=4"}});
    std::vector<std::unique_ptr<HttpProbe>> open;
    for (int i = 0; i < 4; ++i) {
        open.push_back(std::make_unique<HttpProbe>(server.address()));
        ASSERT_EQ(open.back()->get("/health").status, 200);
    }
    HttpProbe fifth(server.address());
    EXPECT_EQ(fifth.read_reply().status, 503);
    EXPECT_TRUE(fifth.closed_within(seconds(5)));
    open.pop_back();
    EXPECT_TRUE(eventually(seconds(5), [&] {
        try {
            return get(server.address(), "/health").status == 200;
        } catch (const std::runtime_error&) {
            return false;
        }
    }));
}

// With no descriptor left, waiting connections stay in the kernel's queue: nobody is lost, nothing
// spins, and they are served once descriptors are free.
TEST(Connections, WaitWhileThereAreNoDescriptors) {
    const ServerProcess server;
    std::size_t used = 0;
    for ([[maybe_unused]] const auto& entry :
         std::filesystem::directory_iterator("/proc/" + std::to_string(server.pid()) + "/fd")) {
        ++used;
    }
    rlimit whole{};
    ASSERT_EQ(::prlimit(server.pid(), RLIMIT_NOFILE, nullptr, &whole), 0);
    const rlimit tight{.rlim_cur = used + 4, .rlim_max = whole.rlim_max};
    ASSERT_EQ(::prlimit(server.pid(), RLIMIT_NOFILE, &tight, nullptr), 0);
    std::vector<std::unique_ptr<HttpProbe>> probes;
    for (int i = 0; i < 8; ++i) {
        probes.push_back(std::make_unique<HttpProbe>(server.address()));
        probes.back()->write("GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n");
    }
    EXPECT_TRUE(eventually(seconds(5), [&] {
        return server.log().find("cannot accept, pausing") != std::string::npos;
    }));
    const std::uint64_t before = server.cpu_ms();
    std::this_thread::sleep_for(seconds(1));
    EXPECT_LT(server.cpu_ms() - before, kSanitized ? 500 : 100);
    ASSERT_EQ(::prlimit(server.pid(), RLIMIT_NOFILE, &whole, nullptr), 0);
    for (auto& probe : probes) EXPECT_EQ(probe->read_reply().status, 200);
    EXPECT_EQ(get(server.address(), "/health").status, 200);
}

TEST(SlowSender, IsCutInTheHeader) {
    const ServerProcess server(
        {.arguments = {}, .environment = {"HEARTH_SERVER__HEADER_TIME=500ms"}});
    HttpProbe probe(server.address());
    probe.write("GET /health HTT");
    EXPECT_TRUE(probe.closed_within(seconds(10)));
    EXPECT_EQ(get(server.address(), "/health").status, 200);
}

TEST(SlowSender, IsCutInTheBodyEvenWhenItDribbles) {
    const ServerProcess server(
        {.arguments = {}, .environment = {"HEARTH_SERVER__BODY_TIME=500ms"}});
    HttpProbe probe(server.address());
    probe.write(
        "POST /v1/embeddings HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n");
    const bool cut = eventually(seconds(10), [&] {
        try {
            probe.write("x");
        } catch (const std::runtime_error&) {
            return true;
        }
        return probe.closed_within(milliseconds(50));
    });
    EXPECT_TRUE(cut);
}

TEST(SlowReader, IsCutWhenItTakesNothing) {
    const ServerProcess server(
        {.arguments = {}, .environment = {"HEARTH_SERVER__WRITE_TIME=500ms"}});
    // With the model in memory the reply begins at once, long before the probe reads.
    ASSERT_EQ(post(server.address(), "/v1/embeddings", embeddings_body("all-minilm", {"x"})).status,
              200);
    HttpProbe probe(server.address());
    const int small = 4096;
    ::setsockopt(probe.fd(), SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
    // A reply of megabytes: more than the kernel will hold for a reader that does not read.
    const std::string body =
        R"({"model":"all-minilm","input":)" +
        boost::json::serialize(boost::json::value(boost::json::array(2048, "x"))) + "}";
    probe.write("POST /v1/embeddings HTTP/1.1\r\nHost: localhost\r\nContent-Length: " +
                std::to_string(body.size()) + "\r\n\r\n" + body);
    std::this_thread::sleep_for(seconds(5));
    EXPECT_THROW(probe.read_reply(), std::runtime_error);
    EXPECT_EQ(get(server.address(), "/health").status, 200);
}

TEST(IdleConnection, IsClosedAfterItsTime) {
    const ServerProcess server(
        {.arguments = {}, .environment = {"HEARTH_SERVER__IDLE_TIME=300ms"}});
    HttpProbe probe(server.address());
    EXPECT_EQ(probe.get("/health").status, 200);
    EXPECT_TRUE(probe.closed_within(seconds(10)));
}

TEST(BadMessage, GetsItsStatusAndTheConnectionEnds) {
    const ServerProcess server(
        {.arguments = {}, .environment = {"HEARTH_SERVER__BODY_BYTES_MAX=65536"}});
    const std::pair<std::string, int> cases[] = {
        {"NONSENSE\r\n\r\n", 400},
        {"GET /health HTTP/1.1\r\n\r\n", 400},  // no Host
        {"GET /health HTTP/1.1\r\nHost: localhost\r\nBad Name: x\r\n\r\n", 400},
        {"POST /embed HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nContent-Length: "
         "6\r\n\r\n",
         400},
        {"POST /embed HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n"
         "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
         400},
        {"POST /embed HTTP/1.1\r\nHost: localhost\r\nContent-Length: 65537\r\n\r\n", 413},
        {"GET /health HTTP/1.1\r\nHost: localhost\r\nX: " + std::string(70'000, 'x') + "\r\n\r\n",
         431},
        {"GET /health HTTP/9.9\r\nHost: localhost\r\n\r\n", 505},
        {"POST /embed HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: weird\r\n\r\n", 501},
    };
    for (const auto& [bytes, status] : cases) {
        HttpProbe probe(server.address());
        probe.write(bytes);
        EXPECT_EQ(probe.read_reply().status, status) << bytes.substr(0, 90);
        EXPECT_TRUE(probe.closed_within(seconds(5))) << bytes.substr(0, 90);
    }
    EXPECT_EQ(get(server.address(), "/health").status, 200);
}

TEST(BadMessage, IsRefusedInTheDialectOfItsPath) {
    const ServerProcess server(
        {.arguments = {}, .environment = {"HEARTH_SERVER__BODY_BYTES_MAX=65536"}});
    const auto refused = [&](std::string_view path) {
        HttpProbe probe(server.address());
        probe.write("POST " + std::string(path) +
                    " HTTP/1.1\r\nHost: localhost\r\nContent-Length: 65537\r\n\r\n");
        const Reply reply = probe.read_reply();
        EXPECT_EQ(reply.status, 413) << path;
        return reply.json();
    };
    EXPECT_EQ(refused("/api/chat").at("error"), "the body is too large");
    const auto anthropic = refused("/v1/messages");
    EXPECT_EQ(anthropic.at("type"), "error");
    EXPECT_EQ(anthropic.at("error").at("type"), "request_too_large");
    EXPECT_EQ(refused("/v1/chat/completions").at("error").at("message"), "the body is too large");
    EXPECT_EQ(refused("/embed").at("error"), "the body is too large");
}

TEST(Client, ThatLeavesDoesNotDisturbTheOthers) {
    const ServerProcess server;
    const std::string body = embeddings_body("all-minilm", std::vector<std::string>(64, "left"));
    for (int i = 0; i < 50; ++i) {
        HttpProbe probe(server.address());
        probe.write("POST /v1/embeddings HTTP/1.1\r\nHost: localhost\r\nContent-Length: " +
                    std::to_string(body.size()) + "\r\n\r\n" + body);
    }
    EXPECT_EQ(post(server.address(), "/v1/embeddings", embeddings_body("all-minilm", {"x"})).status,
              200);
}

}  // namespace
}  // namespace hearth::system_test
