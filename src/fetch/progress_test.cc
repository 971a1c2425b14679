#include "fetch/progress.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <array>

#include "base/unique_fd.h"
#include "fetch/outcome.h"

namespace hearth::fetch {
namespace {

class ProgressTest : public ::testing::Test {
  protected:
    ProgressTest() {
        ::signal(SIGPIPE, SIG_IGN);
        std::array<int, 2> ends{};
        if (::pipe2(ends.data(), O_CLOEXEC) != 0) std::abort();
        read_ = UniqueFd(ends[0]);
        write_ = UniqueFd(ends[1]);
    }
    // What was written so far; there must be something.
    std::string written() {
        std::string text(1 << 16, '\0');
        const ssize_t got = ::read(read_.value(), text.data(), text.size());
        text.resize(got > 0 ? std::size_t(got) : 0);
        return text;
    }

    UniqueFd read_;
    UniqueFd write_;
    const models::Digest digest_ = models::Digest::of("a blob");
};

TEST_F(ProgressTest, WritesOneObjectPerLine) {
    Progress progress(write_.value());
    progress.status("pulling manifest");
    progress.pulling(digest_, 100, 0);
    EXPECT_EQ(written(), "{\"status\":\"pulling manifest\"}\n{\"status\":\"pulling " +
                             digest_.short_hex() + "\",\"digest\":\"" + digest_.text() +
                             "\",\"total\":100,\"completed\":0}\n");
}

TEST_F(ProgressTest, LeavesOutWhatComesTooEarly) {
    Progress progress(write_.value());
    for (std::uint64_t done = 0; done <= 1000; ++done) progress.pulling(digest_, 1000, done);
    const std::string lines = written();
    EXPECT_LE(std::ranges::count(lines, '\n'), 12);
    EXPECT_TRUE(lines.contains("\"completed\":0}"));
    EXPECT_TRUE(lines.contains("\"completed\":1000}"));
}

TEST_F(ProgressTest, SaysOnceThatABlobIsComplete) {
    Progress progress(write_.value());
    for (int i = 0; i < 3; ++i) progress.pulling(digest_, 10, 10);
    EXPECT_EQ(std::ranges::count(written(), '\n'), 1);
}

TEST_F(ProgressTest, SaysWhyItFailed) {
    Progress progress(write_.value());
    progress.failed(failed(Failure::NotFound, "no \"such\" model").error());
    EXPECT_EQ(written(), "{\"error\":\"no \\\"such\\\" model\",\"code\":\"not_found\"}\n");
}

TEST_F(ProgressTest, NoticesThatNobodyReads) {
    Progress progress(write_.value());
    EXPECT_FALSE(progress.reader_gone());
    read_.reset();
    EXPECT_TRUE(progress.reader_gone());
    progress.status("success");
}

TEST_F(ProgressTest, DoesNotWaitForASlowReader) {
    Progress progress(write_.value());
    ::fcntl(write_.value(), F_SETPIPE_SZ, 4096);
    progress.pulling(digest_, 10, 0);
    const std::string filler(3000, 'x');
    ASSERT_EQ(::write(write_.value(), filler.data(), filler.size()), 3000);
    const auto begin = Progress::Clock::now();
    for (int i = 0; i < 5; ++i) {
        ::usleep(101'000);
        progress.pulling(digest_, 10, 5);
    }
    EXPECT_LT(Progress::Clock::now() - begin, std::chrono::seconds(5));
    EXPECT_FALSE(progress.reader_gone());
}

TEST(Failures, HaveWordsAndExitCodes) {
    EXPECT_EQ(word_of(Failure::DigestMismatch), "digest_mismatch");
    EXPECT_EQ(exit_code_of(Failure::Stopped), 11);
    EXPECT_EQ(failure_of(Error{.code = Code::Unavailable, .message = "", .reason = "disk_full"}),
              Failure::NoSpace);
    EXPECT_EQ(failure_of(Error{.code = Code::InvalidArgument, .message = ""}), Failure::Invalid);
}

TEST(ShownText, IsOneShortLine) {
    EXPECT_EQ(shown("a\nb\x1b[31m"), "a b [31m");
    EXPECT_EQ(shown(std::string(300, 'a')), std::string(200, 'a') + "...");
}

}  // namespace
}  // namespace hearth::fetch
