// hearth-fetch as its caller sees it: arguments, lines, signals, exit codes.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>

#include <array>

#include "fetch/partial_blob.h"
#include "fetch/pull_fixture.h"
#include "testing/processes.h"

namespace hearth::fetch {
namespace {

using hearth::testing::eventually;
using testing::pattern;

// One running hearth-fetch.
class Fetch {
  public:
    Fetch(std::vector<std::string> arguments, const std::string& hub) {
        std::array<int, 2> ends{};
        if (::pipe2(ends.data(), O_CLOEXEC) != 0) std::abort();
        out_ = UniqueFd(ends[0]);
        arguments.insert(arguments.begin(), HEARTH_FETCH);
        std::vector<char*> words;
        for (std::string& argument : arguments) words.push_back(argument.data());
        words.push_back(nullptr);
        std::string endpoint = "HF_ENDPOINT=" + hub;
        std::array<char*, 2> environment{endpoint.data(), nullptr};
        posix_spawn_file_actions_t actions;
        ::posix_spawn_file_actions_init(&actions);
        ::posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
        EXPECT_EQ(
            ::posix_spawn(&pid_, words[0], &actions, nullptr, words.data(), environment.data()), 0);
        ::posix_spawn_file_actions_destroy(&actions);
        ::close(ends[1]);
    }
    ~Fetch() {
        if (pid_ <= 0) return;
        ::kill(pid_, SIGKILL);
        ::waitpid(pid_, nullptr, 0);
    }
    Fetch(const Fetch&) = delete;
    Fetch& operator=(const Fetch&) = delete;

    void signal(int number) const { ::kill(pid_, number); }
    void stop_reading() { out_.reset(); }
    // Reads to the end and waits; the exit code, or minus the signal that ended it.
    int wait() {
        std::array<char, 4096> piece{};
        while (out_) {
            const ssize_t got = ::read(out_.value(), piece.data(), piece.size());
            if (got <= 0) break;
            lines_.append(piece.data(), std::size_t(got));
        }
        int status = 0;
        ::waitpid(std::exchange(pid_, -1), &status, 0);
        return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
    }
    const std::string& lines() const { return lines_; }
    std::string last_line() const {
        const std::string text = lines_.substr(0, lines_.find_last_not_of('\n') + 1);
        return text.substr(text.rfind('\n') + 1);
    }

  private:
    pid_t pid_ = -1;
    UniqueFd out_;
    std::string lines_;
};

class Program : public testing::PullTest {
  protected:
    std::unique_ptr<Fetch> start(std::string_view model) {
        return std::make_unique<Fetch>(
            std::vector<std::string>{"--store", store_.root(), "--model", std::string(model)},
            registry_.url());
    }
    // A model of one blob, half of which comes at once, and the rest never.
    models::Layer add_stalling_model() {
        const std::string weights = pattern(1 << 20);
        const models::Layer layer = registry_.add_blob(models::kModelLayer, weights);
        registry_.add_manifest("a/b:c", models::encode_manifest({.config = {}, .layers = {layer}}));
        registry_.set({.stalls = 1, .cut_after = 512 << 10});
        return layer;
    }
    // So many bytes lie in the partial file, saved or not.
    bool arrived(const models::Layer& layer, std::size_t bytes) const {
        const std::string there = testing::text_of(store_.partial_path(layer.digest));
        return there.starts_with(pattern(1 << 20).substr(0, bytes));
    }
};

TEST_F(Program, BringsAModel) {
    const models::Digest digest = registry_.add_model("a/b:c", pattern(100'000));
    const auto fetch = start(registry_.name("a/b:c"));
    EXPECT_EQ(fetch->wait(), 0);
    EXPECT_EQ(fetch->last_line(), R"({"status":"success"})");
    EXPECT_EQ(blob(digest), pattern(100'000));
}

TEST_F(Program, BringsALargeBlobInParts) {
    const std::string weights = pattern(150 << 20);
    registry_.set({.gather = 3});
    const models::Digest digest = registry_.add_model("a/b:c", weights);
    EXPECT_EQ(start(registry_.name("a/b:c"))->wait(), 0);
    EXPECT_EQ(store_.blob_bytes(digest), weights.size());
    EXPECT_EQ(registry_.most_at_a_time(), 3);
}

TEST_F(Program, FindsTheHubByItsVariable) {
    registry_.add_model("org/repo:Q8_0", "weights");
    EXPECT_EQ(start("hf.co/org/repo:Q8_0")->wait(), 0);
}

TEST_F(Program, EndsWithTheCodeOfItsFailure) {
    const auto missing = start(registry_.name("a/b:c"));
    EXPECT_EQ(missing->wait(), 3);
    EXPECT_TRUE(missing->last_line().ends_with(R"("code":"not_found"})")) << missing->lines();
    EXPECT_TRUE(missing->last_line().starts_with(R"({"error":")")) << missing->lines();

    registry_.set({.wrong_bytes = true});
    registry_.add_model("a/b:c", "weights");
    const auto wrong = start(registry_.name("a/b:c"));
    EXPECT_EQ(wrong->wait(), 6);
    EXPECT_TRUE(wrong->last_line().ends_with(R"("code":"digest_mismatch"})")) << wrong->lines();

    EXPECT_EQ(start("no/such/name/at:all")->wait(), 2);
    EXPECT_EQ(Fetch({}, "").wait(), 2);
    EXPECT_EQ(Fetch({"--store", "x", "--model", "y", "--parts", "65"}, "").wait(), 2);
    EXPECT_EQ(Fetch({"--help"}, "").wait(), 0);
}

TEST_F(Program, StopsAtOnceWhenTold) {
    const models::Layer layer = add_stalling_model();
    const auto fetch = start(registry_.name("a/b:c"));
    ASSERT_TRUE(eventually([&] { return arrived(layer, 500 << 10); }));
    fetch->signal(SIGTERM);
    EXPECT_EQ(fetch->wait(), 11);
    EXPECT_TRUE(fetch->last_line().ends_with(R"("code":"stopped"})")) << fetch->lines();
    EXPECT_GE(PartialBlob::peek(store_, layer), 500 << 10);
    registry_.set({});
    const auto again = start(registry_.name("a/b:c"));
    EXPECT_EQ(again->wait(), 0) << again->lines();
    EXPECT_TRUE(registry_.blob_requests().back().range.starts_with("bytes=5"));
}

TEST_F(Program, StopsAtTheKeyboardToo) {
    const models::Layer layer = add_stalling_model();
    const auto fetch = start(registry_.name("a/b:c"));
    ASSERT_TRUE(eventually([&] { return arrived(layer, 500 << 10); }));
    fetch->signal(SIGINT);
    EXPECT_EQ(fetch->wait(), 11);
}

TEST_F(Program, GoesOnAfterAKill) {
    const models::Layer layer = add_stalling_model();
    const auto fetch = start(registry_.name("a/b:c"));
    // What has come is saved every five seconds.
    ASSERT_TRUE(eventually([&] { return PartialBlob::peek(store_, layer).value_or(0) > 0; },
                           std::chrono::seconds(20)));
    fetch->signal(SIGKILL);
    EXPECT_EQ(fetch->wait(), -SIGKILL);
    registry_.set({});
    const auto again = start(registry_.name("a/b:c"));
    EXPECT_EQ(again->wait(), 0) << again->lines();
    EXPECT_TRUE(registry_.blob_requests().back().range.starts_with("bytes=5"));
    EXPECT_EQ(blob(layer.digest), pattern(1 << 20));
}

TEST_F(Program, EndsWhenNobodyReads) {
    const models::Layer layer = add_stalling_model();
    const auto fetch = start(registry_.name("a/b:c"));
    ASSERT_TRUE(eventually([&] { return arrived(layer, 500 << 10); }));
    fetch->stop_reading();
    EXPECT_EQ(fetch->wait(), 11);
    EXPECT_GE(PartialBlob::peek(store_, layer), 500 << 10);
}

TEST_F(Program, MayRunTwiceAtOnce) {
    registry_.set({.bytes_per_second = 2'000'000});
    const models::Digest digest = registry_.add_model("a/b:c", pattern(1 << 20));
    const auto first = start(registry_.name("a/b:c"));
    const auto second = start(registry_.name("a/b:c"));
    EXPECT_EQ(first->wait(), 0) << first->lines();
    EXPECT_EQ(second->wait(), 0) << second->lines();
    EXPECT_EQ(blob(digest), pattern(1 << 20));
    EXPECT_TRUE(leftovers().empty());
}

}  // namespace
}  // namespace hearth::fetch
