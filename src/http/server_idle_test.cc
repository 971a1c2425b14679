// What idleness costs.
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <string>
#include <thread>
#include <vector>

#include "http/server.h"
#include "http/server_fixture.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define HEARTH_SANITIZED 1
#endif
#endif

namespace hearth::http {
namespace {

using testing::eventually;
using testing::RawSocket;
using testing::TestServer;

constexpr std::size_t kConnections = 10'000;
[[maybe_unused]] constexpr std::size_t kBytesMax = 100 << 20;

std::size_t resident_bytes() {
    std::ifstream file("/proc/self/statm");
    std::size_t total = 0;
    std::size_t resident = 0;
    file >> total >> resident;
    return resident * std::size_t(::sysconf(_SC_PAGESIZE));
}

bool allow_descriptors(std::size_t count) {
    rlimit limit{};
    ::getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = std::max(limit.rlim_cur, std::min(limit.rlim_max, rlim_t(count)));
    ::setrlimit(RLIMIT_NOFILE, &limit);
    return limit.rlim_cur >= count;
}

// The clients live in a process of their own: their memory and descriptors are not the server's.
// Each sends one request and then keeps silent until `hold` is closed.
[[noreturn]] void be_clients(const std::string& address, int ready, int hold) {
    const std::string request =
        "GET / HTTP/1.1\r\nHost: h\r\nX-Filler: " + std::string(500, 'x') + "\r\n\r\n";
    std::vector<RawSocket> sockets;
    for (std::size_t i = 0; i < kConnections; ++i) {
        sockets.push_back(RawSocket::connect(address));
        if (!sockets.back().send(request) || !sockets.back().read_some()) ::_exit(1);
    }
    char byte = 'r';
    (void)!::write(ready, &byte, 1);
    (void)!::read(hold, &byte, 1);
    ::_exit(0);
}

TEST(Server, HoldsTenThousandIdleConnectionsInLittleMemory) {
    if (!allow_descriptors(kConnections + 200)) GTEST_SKIP() << "too few descriptors are allowed";
    TestServer server;
    int ready[2];
    int hold[2];
    ASSERT_EQ(::pipe(ready), 0);
    ASSERT_EQ(::pipe(hold), 0);
    const std::size_t before = resident_bytes();
    const pid_t clients = ::fork();
    if (clients == 0) {
        ::close(hold[1]);
        be_clients(server.address, ready[1], hold[0]);
    }
    ::close(ready[1]);
    char byte = 0;
    ASSERT_EQ(::read(ready[0], &byte, 1), 1) << "the clients could not connect";
    ASSERT_TRUE(eventually([&] { return server.server.connections_approx() == kConnections; }));
    const std::size_t used = resident_bytes() - before;
    std::cout << kConnections << " idle connections: " << used / 1024 << " KiB, "
              << used / kConnections << " bytes each\n";
#ifndef HEARTH_SANITIZED
    EXPECT_LT(used, kBytesMax);
#endif
    RawSocket one_more = server.connect();
    one_more.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    EXPECT_EQ(one_more.read_reply().second, "ok");
    ::close(hold[1]);
    ::waitpid(clients, nullptr, 0);
    EXPECT_TRUE(eventually([&] { return server.server.connections_approx() <= 1; }));
    for (const int fd : {ready[0], hold[0]}) ::close(fd);
}

double processor_seconds() {
    rusage usage{};
    ::getrusage(RUSAGE_SELF, &usage);
    const auto seconds = [](timeval time) {
        return double(time.tv_sec) + double(time.tv_usec) / 1e6;
    };
    return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

// Its shards poll while calls follow each other closely, and must stop when they no longer do.
TEST(Server, SleepsWhenNobodyCalls) {
    TestServer server;
    RawSocket socket = server.connect();
    for (int i = 0; i < 1000; ++i) {
        socket.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
        ASSERT_EQ(socket.read_reply().second, "ok");
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    const double before = processor_seconds();
    std::this_thread::sleep_for(std::chrono::milliseconds(500));
    EXPECT_LT(processor_seconds() - before, 0.05);
}

}  // namespace
}  // namespace hearth::http
