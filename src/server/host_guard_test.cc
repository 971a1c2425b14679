#include "server/host_guard.h"

#include <gtest/gtest.h>

namespace hearth::server {
namespace {

TEST(HostGuard, LetsAddressesAndLocalNamesIn) {
    for (const std::string_view host : {"127.0.0.1:11435", "127.0.0.1", "[::1]:11435", "localhost",
                                        "LocalHost:80", "app.localhost", "box.local:1",
                                        "host.docker.internal:11435", "workstation", "unix", ""}) {
        EXPECT_EQ(is_local_host(host, "workstation"), host != "unix") << host;
    }
}

TEST(HostGuard, RefusesForeignNames) {
    for (const std::string_view host : {"evil.example", "localhost.evil.example:11435", ".local",
                                        "127.0.0.1.evil.example", "notlocalhost"}) {
        EXPECT_FALSE(is_local_host(host, "workstation")) << host;
    }
}

}  // namespace
}  // namespace hearth::server
