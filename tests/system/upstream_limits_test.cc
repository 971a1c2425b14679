#include <gtest/gtest.h>

#include <algorithm>
#include <csignal>
#include <fstream>
#include <sstream>
#include <thread>

#include "base/format.h"
#include "http_probe.h"
#include "server_process.h"
#include "testing/full_listener.h"
#include "testing/raw_socket.h"
#include "upstream_callers.h"

// What bounds a call to a server elsewhere in the running program: time, memory, breaker, pauses,
// and its own end.
namespace hearth::system_test {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::RawSocket;
using Clock = std::chrono::steady_clock;

std::string stream_body(std::string_view model, std::string_view text = "hi") {
    return format(R"({{"model":"{}","stream":true,"messages":[{{"role":"user","content":"{}"}}]}})",
                  model, text);
}

// One of the kind openai, with these keys more.
std::string openai_backend(std::string_view name, std::string_view address,
                           std::string_view keys = "") {
    return format("  {}: {{url: \"http://{}\", refresh_time: 1h{}}}\n", name, address, keys);
}

class UpstreamLimits : public ::testing::Test {
  protected:
    ~UpstreamLimits() override { std::filesystem::remove_all(folder_); }

    void write(std::string_view backends, std::string_view more = "") const {
        std::ofstream(folder_ / "hearth.yaml")
            << format("routing: {{attempts: 2, find_ollama: false, eject_time: 1h}}\n{}", more)
            << (backends.empty() ? "" : format("backends:\n{}", backends));
    }
    void start(std::string_view backends, std::string_view more = "") {
        write(backends, more);
        gateway_ = std::make_unique<ServerProcess>(StartOptions{
            .arguments = {"--config", (folder_ / "hearth.yaml").string()},
            .environment = {"HEARTH_MODELS__INSTALLED=false", "HEARTH_MODELS__OLLAMA_STORE=false",
                            "HEARTH_MODELS__HUB_CACHE=false"}});
    }
    Reply ask(std::string_view model, std::string_view text = "hi") const {
        return post(gateway_->address(), "/v1/chat/completions", stream_body(model, text));
    }
    static std::string code_of(const Reply& reply) {
        const std::size_t at = reply.body.rfind("\"code\":\"");
        if (at == std::string::npos) return {};
        const std::string rest = reply.body.substr(at + 8);
        return rest.substr(0, rest.find('"'));
    }
    // A stream that has begun, and goes on in the socket.
    RawSocket begin(std::string_view model) const {
        RawSocket socket = RawSocket::connect(gateway_->address());
        const std::string body = stream_body(model);
        socket.send(
            format("POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
                   "Content-Length: {}\r\n\r\n{}",
                   body.size(), body));
        EXPECT_TRUE(socket.read_until("Hel").contains("200 OK"));
        return socket;
    }
    // The most the gateway had in memory since it started.
    std::size_t resident_max() const {
        std::istringstream lines(read_file(format("/proc/{}/status", gateway_->pid())));
        for (std::string line; std::getline(lines, line);) {
            if (line.starts_with("VmHWM:")) return std::stoul(line.substr(6)) << 10;
        }
        return 0;
    }

    const std::filesystem::path folder_ = make_folder();
    FaultyUpstream upstream_;
    std::unique_ptr<ServerProcess> gateway_;
};

TEST_F(UpstreamLimits, EachOfTheTimesEndsACall) {
    const testing::FullListener full;
    const std::string& far = upstream_.address();
    const auto limited = [](std::string_view name, std::string_view address,
                            std::string_view keys) {
        return openai_backend(name, address, format(", failures: 1000, {}", keys));
    };
    start(limited("connect", full.address(), "connect_time: 400ms") +
          limited("header", far, "header_time: 400ms") +
          limited("first", far, "first_token_time: 400ms") +
          limited("idle", far, "idle_time: 400ms") + limited("total", far, "total_time: 400ms") +
          limited("queue", far, "concurrency: 1, queue_time: 400ms"));
    struct Case {
        const char* model;
        const char* code;
    };
    constexpr Case kCases[] = {
        {"connect/x", "connect_timeout"},         {"header/headstall", "header_timeout"},
        {"header/headloris", "header_timeout"},   {"first/stall.0", "first_token_timeout"},
        {"first/stall.1", "first_token_timeout"}, {"first/silent.1", "first_token_timeout"},
        {"idle/stall.2", "idle_timeout"},         {"idle/loris.3", "idle_timeout"},
        {"total/endless.2", "total_timeout"},     {"total/headstall", "total_timeout"}};
    for (const Case& one : kCases) {
        const auto begun = Clock::now();
        const Reply reply = ask(one.model);
        const auto took = Clock::now() - begun;
        EXPECT_EQ(code_of(reply), one.code) << one.model << "\n" << reply.body;
        EXPECT_GE(took, milliseconds(350)) << one.model;
        EXPECT_LT(took, seconds(20)) << one.model;
    }
    const RawSocket busy = begin("queue/stall.2");
    EXPECT_EQ(code_of(ask("queue/whole")), "queue_timeout");
}

TEST_F(UpstreamLimits, TheBreakerOpensLetsOneProbePassAndCloses) {
    start(
        openai_backend("far", upstream_.address(), ", failures: 3, open_time: 1s, header_time: 2s"),
        "");
    const auto up = [&] { return metric(gateway_->address(), "hearth_upstream_up"); };
    // Two attempts a call.
    EXPECT_EQ(code_of(ask("far/nohead")), "sent_no_byte");
    EXPECT_EQ(up(), 1);
    EXPECT_EQ(code_of(ask("far/nohead")), "breaker_open") << "its second attempt is not made";
    EXPECT_EQ(upstream_.requests(), 3U);
    EXPECT_EQ(up(), 0);
    // Half open after a while: one probe, which is silent, and nobody beside it.
    Reply probed;
    std::thread probe([&] { probed = ask("far/headstall"); });
    EXPECT_TRUE(eventually(seconds(20), [&] { return upstream_.requests() == 4; }));
    const Reply beside = ask("far/whole");
    EXPECT_EQ(beside.status, 503);
    EXPECT_EQ(code_of(beside), "breaker_open") << beside.body;
    EXPECT_GE(std::atoi(beside.field("retry-after").c_str()), 1);
    probe.join();
    EXPECT_EQ(probed.status, 503) << probed.body;
    EXPECT_EQ(upstream_.requests(), 4U) << "a probe that fails opens it again";
    EXPECT_EQ(up(), 0);
    EXPECT_TRUE(eventually(seconds(20), [&] { return ask("far/whole").status == 200; }));
    EXPECT_EQ(upstream_.requests(), 5U);
    EXPECT_EQ(up(), 1);
    EXPECT_EQ(ask("far/whole").status, 200);
}

TEST_F(UpstreamLimits, AServerThatAsksForAPauseGetsIt) {
    start(openai_backend("far", upstream_.address()) + openai_backend("long", upstream_.address()));
    const Reply refused = ask("long/status429@60");
    EXPECT_EQ(refused.status, 429);
    EXPECT_EQ(refused.field("retry-after"), "60");
    const std::size_t asked = upstream_.requests();
    const Reply paused = ask("long/whole");
    EXPECT_EQ(code_of(paused), "upstream_paused") << paused.body;
    EXPECT_LE(std::atoi(paused.field("retry-after").c_str()), 60);
    EXPECT_GE(std::atoi(paused.field("retry-after").c_str()), 30);
    EXPECT_EQ(upstream_.requests(), asked) << "it is not asked meanwhile";
    // One short enough is waited for.
    const auto begun = Clock::now();
    EXPECT_EQ(ask("far/status503@1").status, 503);
    EXPECT_GE(Clock::now() - begun, milliseconds(950));
    EXPECT_EQ(upstream_.requests(), asked + 2) << "asked again after its pause";
    const Reply whole = ask("far/whole");
    EXPECT_EQ(whole.status, 200) << whole.body;
}

TEST_F(UpstreamLimits, AServerThatFailsMoreThanTheOthersIsLeftOut) {
    const FaultyUpstream bad;
    start(openai_backend("bad", bad.address(), ", failures: 1000, models: [shared=status500]") +
          openai_backend("good", upstream_.address(), ", models: [shared=whole]"));
    std::size_t calls = 0;
    const auto all_succeed = [&](std::size_t count) {
        for (std::size_t i = 0; i < count; ++i) {
            const Reply reply = ask("shared", format("question {} of its own", ++calls));
            ASSERT_EQ(reply.status, 200) << reply.body;
        }
    };
    all_succeed(80);
    const std::size_t asked = bad.requests();
    EXPECT_GE(asked, 10U) << "so many it takes to judge";
    EXPECT_LE(asked, 40U);
    all_succeed(40);
    EXPECT_EQ(bad.requests(), asked) << "left out for an hour";
    EXPECT_EQ(upstream_.requests(), calls);
    EXPECT_GE(metric(gateway_->address(), "hearth_upstream_failovers_total"), double(asked));
}

TEST_F(UpstreamLimits, AStreamInFlightEndsWholeOnSigterm) {
    start(openai_backend("far", upstream_.address()), "server: {drain_time: 20s}\n");
    // Its end takes more than a second.
    RawSocket socket = begin("far/loris.5");
    gateway_->signal(SIGTERM);
    EXPECT_TRUE(eventually(seconds(10), [&] {
        return !RawSocket::connect(gateway_->address()).connected();
    })) << "nobody new is served";
    const auto rest = socket.read_to_end();
    ASSERT_TRUE(rest);
    EXPECT_TRUE(rest->contains("data: [DONE]\n\n")) << *rest;
    EXPECT_FALSE(rest->contains("error")) << *rest;
    EXPECT_EQ(gateway_->wait(seconds(20)), 0) << gateway_->log();
}

TEST_F(UpstreamLimits, AStreamThatOutlastsTheGraceDoesNotEndFalsely) {
    start(openai_backend("far", upstream_.address()), "server: {drain_time: 500ms}\n");
    RawSocket socket = begin("far/endless.2");
    gateway_->signal(SIGTERM);
    std::thread reader([&] {
        const auto rest = socket.read_to_end();
        ASSERT_TRUE(rest);
        EXPECT_FALSE(rest->contains("[DONE]"));
        EXPECT_FALSE(rest->ends_with("0\r\n\r\n") && !rest->contains("\"error\""))
            << "a sound end without a word of what is missing";
    });
    EXPECT_EQ(gateway_->wait(seconds(20)), 0) << gateway_->log();
    reader.join();
}

TEST_F(UpstreamLimits, AStreamInFlightOutlivesItsServerInTheConfiguration) {
    start(openai_backend("far", upstream_.address()));
    RawSocket socket = begin("far/loris.5");
    write("");
    gateway_->signal(SIGHUP);
    EXPECT_TRUE(eventually(seconds(10), [&] { return ask("far/whole").status == 404; }));
    const auto rest = socket.read_to_end();
    ASSERT_TRUE(rest);
    EXPECT_TRUE(rest->contains("data: [DONE]\n\n")) << *rest;
    EXPECT_FALSE(rest->contains("error")) << *rest;
}

// Counted where it was sent, which holds under sanitizers too; and measured where they allow it.
TEST_F(UpstreamLimits, AnEventWithoutEndTakesBoundedMemory) {
    constexpr std::size_t kBytesMax = 96 << 20;
    start(openai_backend("o", upstream_.address()) +
          openai_backend("l", upstream_.address(), ", kind: ollama") +
          openai_backend("a", upstream_.address(), ", kind: anthropic"));
    ASSERT_EQ(ask("o/whole").status, 200);
    const std::size_t before = resident_max();
    for (const char* model : {"o/big.2", "l/big.1", "a/big.4", "o/big.0"}) {
        EXPECT_EQ(code_of(ask(model)), "event_too_large") << model;
        // 16 MiB, and what sockets hold.
        EXPECT_LT(upstream_.bytes_taken(), 48'000'000U) << model;
        EXPECT_GT(upstream_.bytes_taken(), 16'000'000U) << model;
        if (!kSanitized) EXPECT_LT(resident_max() - before, kBytesMax) << model;
    }
}

TEST_F(UpstreamLimits, ASlowReaderHoldsTheServerBackAndIsCutOff) {
    start(openai_backend("o", upstream_.address()), "server: {write_time: 2s}\n");
    ASSERT_EQ(ask("o/whole").status, 200);
    const std::size_t before = resident_max();
    for (const bool translated : {false, true}) {
        RawSocket socket = RawSocket::connect(gateway_->address());
        const std::string body =
            format(R"({{"model":"o/flood","max_tokens":9,"stream":true,"messages":[{{"role":)"
                   R"("user","content":"hi"}}]}})");
        socket.send(format("POST {} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n{}",
                           translated ? "/v1/messages" : "/v1/chat/completions", body.size(),
                           body));
        // It reads nothing: what was taken stops growing at what sockets and buffers hold.
        std::size_t taken = 0;
        ASSERT_TRUE(eventually(seconds(30), [&] {
            const std::size_t last = std::exchange(taken, upstream_.bytes_taken());
            std::this_thread::sleep_for(milliseconds(400));
            return taken > 100'000 && last == taken;
        }));
        EXPECT_LT(taken, 64U << 20);
        if (!kSanitized) EXPECT_LT(resident_max() - before, 48U << 20);
        EXPECT_TRUE(eventually(seconds(30), [&] {
            return metric(gateway_->address(),
                          R"(hearth_upstream_requests_total{upstream="o",outcome="left"})") +
                       metric(gateway_->address(),
                              R"(hearth_upstream_requests_total{outcome="left",upstream="o"})") ==
                   (translated ? 2 : 1);
        })) << get(gateway_->address(), "/metrics").body;
    }
}

TEST_F(UpstreamLimits, AnEndlessStreamTakesBoundedMemory) {
    start(openai_backend("o", upstream_.address()));
    RawSocket socket = begin("o/flood");
    const std::size_t before = resident_max();
    std::size_t read = 0;
    while (read < (32U << 20)) {
        const auto some = socket.read_some();
        ASSERT_TRUE(some && !some->empty());
        read += some->size();
    }
    if (!kSanitized) EXPECT_LT(resident_max() - before, 32U << 20);
}

}  // namespace
}  // namespace hearth::system_test
