// Pulls from servers that fail, lie, stall and break off.
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <csignal>
#include <optional>

#include "fetch/partial_blob.h"
#include "fetch/pull_fixture.h"
#include "testing/scripted_server.h"

namespace hearth::fetch {
namespace {

using hearth::testing::RawSocket;
using hearth::testing::ScriptedServer;
using testing::Faults;
using testing::pattern;

class PullFaults : public testing::PullTest {
  protected:
    // The model comes in whole, whatever the registry does wrong.
    void expect_whole(Faults faults, std::size_t size = 300'000) {
        registry_.set(std::move(faults));
        const std::string weights = pattern(size);
        const models::Digest digest = registry_.add_model("a/b:c", weights);
        const auto result = pull("a/b:c");
        ASSERT_TRUE(result) << result.error().message;
        EXPECT_EQ(blob(digest), weights);
        EXPECT_TRUE(leftovers().empty());
    }
    Failure expect_failure(Faults faults, std::size_t size = 300'000) {
        registry_.set(std::move(faults));
        registry_.add_model("a/b:c", pattern(size));
        const Failure why = failure("a/b:c");
        EXPECT_FALSE(has_manifest("a/b:c"));
        return why;
    }
};

TEST_F(PullFaults, AFailureIsTriedAgain) { expect_whole({.failures = 2}); }

TEST_F(PullFaults, ARefusalForNowIsTriedAgain) {
    expect_whole({.failures = 1, .failure_status = 429});
}

TEST_F(PullFaults, AFailureThatStaysIsReported) {
    EXPECT_EQ(expect_failure({.failures = 1000}), Failure::Unreachable);
    EXPECT_TRUE(message_.contains("answered 500 (told to fail)")) << message_;
}

TEST_F(PullFaults, ABrokenConnectionGoesOnWhereItBroke) {
    expect_whole({.drops = 3, .cut_after = 50'000});
    // Of four parts of 75,000 bytes, whichever broke.
    const auto resumed = [](const testing::Seen& seen) {
        return std::ranges::any_of(std::array{50'000, 125'000, 200'000, 275'000}, [&](int at) {
            return seen.range.starts_with("bytes=" + std::to_string(at) + "-");
        });
    };
    EXPECT_GE(std::ranges::count_if(registry_.blob_requests(), resumed), 1);
}

TEST_F(PullFaults, AConnectionMayBreakAtTheFirstByte) {
    expect_whole({.drops = 4, .cut_after = 0});
}

TEST_F(PullFaults, AConnectionThatAlwaysBreaksIsReported) {
    EXPECT_EQ(expect_failure({.drops = 1'000'000, .cut_after = 1}), Failure::Unreachable);
    EXPECT_TRUE(message_.contains("attempts")) << message_;
}

TEST_F(PullFaults, AStalledPartIsStartedAgain) {
    options_.client.stall_time = std::chrono::milliseconds(200);
    expect_whole({.stalls = 2});
}

TEST_F(PullFaults, WrongBytesAreDeleted) {
    EXPECT_EQ(expect_failure({.wrong_bytes = true}), Failure::DigestMismatch);
    EXPECT_TRUE(message_.contains("deleted")) << message_;
    EXPECT_TRUE(leftovers().empty());
}

TEST_F(PullFaults, AServerWithoutRangesIsAskedForTheWhole) { expect_whole({.no_ranges = true}); }

TEST_F(PullFaults, AServerWithoutRangesMayBreakOff) {
    expect_whole({.drops = 2, .cut_after = 70'000, .no_ranges = true}, 100'000);
}

TEST_F(PullFaults, AServerWithoutRangesThatAlwaysBreaksOffIsReported) {
    EXPECT_EQ(expect_failure({.drops = 1000, .cut_after = 2 << 20, .no_ranges = true}, 3 << 20),
              Failure::Unreachable);
}

TEST_F(PullFaults, AnotherRangeThanTheOneAskedForIsRefused) {
    EXPECT_EQ(expect_failure({.shifted_ranges = true}), Failure::BadRegistry);
    EXPECT_TRUE(message_.contains("another range")) << message_;
}

TEST_F(PullFaults, ATokenIsFetchedWhenOneIsAskedFor) {
    expect_whole({.needs_token = true});
    for (const auto& seen : registry_.blob_requests())
        EXPECT_EQ(seen.authorization, "Bearer anonymous");
}

TEST_F(PullFaults, ATokenThatIsRefusedIsReported) {
    EXPECT_EQ(expect_failure({.needs_token = true, .no_tokens = true}), Failure::Unauthorized);
}

TEST_F(PullFaults, RedirectionsAreFollowed) { expect_whole({.redirects = 5}); }

TEST_F(PullFaults, RedirectionsEnd) {
    EXPECT_EQ(expect_failure({.redirects = 6}), Failure::BadRegistry);
    EXPECT_TRUE(message_.contains("more than 5 times")) << message_;
}

TEST_F(PullFaults, ARedirectionOutOfTlsOrToAnotherSchemeIsRefused) {
    for (const char* to :
         {"http://registry.invalid/x", "file:///etc/passwd", "ftp://127.0.0.1/x"}) {
        EXPECT_EQ(expect_failure({.redirect_to = to}), Failure::BadRegistry) << to;
    }
}

TEST_F(PullFaults, ATokenIsNotShownToAnotherServer) {
    testing::TestRegistry other;
    const std::string weights = pattern(1000);
    const models::Digest digest = registry_.add_model("a/b:c", weights);
    other.add_blob("", weights);
    registry_.set({.needs_token = true, .redirect_to = other.url() + "/cdn/1/" + digest.text()});
    // The other blobs are sent to the same address, whose bytes are not theirs.
    EXPECT_FALSE(pull("a/b:c"));
    EXPECT_EQ(blob(digest), weights);
    ASSERT_FALSE(other.blob_requests().empty());
    EXPECT_EQ(other.blob_requests().front().authorization, "");
}

TEST_F(PullFaults, AnExpiredAddressIsAskedForAnew) {
    expect_whole({.refused_signatures = 3, .redirects = 1});
}

TEST_F(PullFaults, AForbiddenBlobIsReported) {
    EXPECT_EQ(expect_failure({.refused_signatures = 1}), Failure::Unauthorized);
}

TEST_F(PullFaults, AnInterruptedDownloadGoesOn) {
    EXPECT_EQ(expect_failure({.drops = 1'000'000, .cut_after = 5'000}), Failure::Unreachable);
    const models::Digest digest = models::Digest::of(pattern(300'000));
    const auto done =
        PartialBlob::peek(store_, {.media_type = "", .digest = digest, .size = 300'000});
    ASSERT_TRUE(done);
    EXPECT_GE(*done, 5'000);
    const std::size_t before = registry_.blob_requests().size();
    expect_whole({});
    const auto seen = registry_.blob_requests();
    EXPECT_NE(seen[before].range, "bytes=0-74999");
}

TEST_F(PullFaults, AFileThatMayNotGrowIsNoSpace) {
    ::signal(SIGXFSZ, SIG_IGN);
    rlimit before{};
    ::getrlimit(RLIMIT_FSIZE, &before);
    const rlimit small{.rlim_cur = 100'000, .rlim_max = before.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &small);
    const Failure why = expect_failure({});
    ::setrlimit(RLIMIT_FSIZE, &before);
    EXPECT_EQ(why, Failure::NoSpace);
    EXPECT_TRUE(leftovers().empty());
}

// A server that sends what the tests below say for the bytes of the one blob.
class LyingServer : public PullFaults {
  protected:
    // `first`: what is sent instead on the first connection that asks for the blob.
    Failure failure_with(const std::string& blob_reply,
                         const std::optional<std::string>& first = {}) {
        const std::string bytes = pattern(1000);
        const std::string manifest = R"({"layers":[{"mediaType":"x","digest":")" +
                                     models::Digest::of(bytes).text() + R"(","size":1000}]})";
        std::atomic<int> asked{0};
        ScriptedServer server([&](RawSocket& socket, int) {
            while (true) {
                const std::string head = socket.read_until("\r\n\r\n");
                if (!head.ends_with("\r\n\r\n")) return;
                if (!head.contains("/manifests/")) {
                    (void)socket.send(first && asked++ == 0 ? *first : blob_reply);
                    return;
                }
                (void)socket.send("HTTP/1.1 200 OK\r\nContent-Length: " +
                                  std::to_string(manifest.size()) + "\r\n\r\n" + manifest);
            }
        });
        options_.model = "http://" + server.address() + "/a/b:c";
        const UniqueFd null(::open("/dev/null", O_WRONLY | O_CLOEXEC));
        Progress progress(null.value());
        const auto result = fetch::pull(options_, progress);
        message_ = result ? "it succeeded" : result.error().message;
        return result ? Failure::Internal : failure_of(result.error());
    }
};

TEST_F(LyingServer, MayOfferTooMuch) {
    EXPECT_EQ(failure_with("HTTP/1.1 200 OK\r\nContent-Length: 1001\r\n\r\n" + pattern(1001)),
              Failure::BadRegistry);
    EXPECT_TRUE(message_.contains("offers 1001 bytes")) << message_;
}

TEST_F(LyingServer, MayOfferTooLittle) {
    EXPECT_EQ(failure_with("HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n" + pattern(999)),
              Failure::BadRegistry);
}

TEST_F(LyingServer, MaySendMoreThanItOffers) {
    EXPECT_EQ(failure_with("HTTP/1.1 200 OK\r\n\r\n" + pattern(1200)), Failure::BadRegistry)
        << message_;
}

TEST_F(LyingServer, MaySendLessThanItOffers) {
    EXPECT_EQ(failure_with("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n" + pattern(10)),
              Failure::Unreachable)
        << message_;
}

TEST_F(LyingServer, MayBreakOffAnywhere) {
    const std::string head = "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n";
    const std::string reply = head + pattern(1000);
    // What is left is asked for as a range; this one ignores that and sends the whole again.
    for (const std::size_t cut : {std::size_t{0}, std::size_t{1}, std::size_t{12}, head.size() - 3,
                                  head.size(), head.size() + 1, reply.size() - 1}) {
        EXPECT_EQ(failure_with(reply, reply.substr(0, cut)), Failure::Internal) << cut;
        EXPECT_EQ(message_, "it succeeded") << cut;
        std::filesystem::remove_all(store_.root());
    }
}

TEST_F(LyingServer, MaySendNothing) { EXPECT_EQ(failure_with(""), Failure::Unreachable); }

TEST_F(LyingServer, MaySendNonsense) {
    EXPECT_NE(failure_with(pattern(5000)), Failure::Internal) << message_;
    EXPECT_NE(failure_with("HTTP/1.1 999999\r\n\r\n"), Failure::Internal) << message_;
    EXPECT_NE(failure_with("HTTP/1.1 200 OK\r\n\r\n"), Failure::Internal) << message_;
}

TEST_F(LyingServer, MaySendAnEndlessHead) {
    EXPECT_EQ(failure_with("HTTP/1.1 200 OK\r\n" +
                           [] {
                               std::string fields;
                               for (int i = 0; i < 2000; ++i)
                                   fields += "X-" + std::to_string(i) + ": " +
                                             std::string(50, 'x') + "\r\n";
                               return fields;
                           }() +
                           "\r\n"),
              Failure::BadRegistry)
        << message_;
}

TEST_F(LyingServer, MayAnswerAPartialRequestThatWasNotMade) {
    EXPECT_EQ(failure_with("HTTP/1.1 206 Partial\r\nContent-Range: bytes 0-999/1000\r\n"
                           "Content-Length: 1000\r\n\r\n" +
                           pattern(1000)),
              Failure::BadRegistry)
        << message_;
}

}  // namespace
}  // namespace hearth::fetch
