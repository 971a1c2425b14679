#include "backends/worker/socket_dir.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>

#include "base/format.h"

namespace hearth::worker {
namespace {

namespace fs = std::filesystem;

class SocketDirTest : public ::testing::Test {
  protected:
    SocketDirTest() {
        std::string name = ::testing::TempDir() + "/sd-XXXXXX";
        parent_ = ::mkdtemp(name.data());
    }
    ~SocketDirTest() override { fs::remove_all(parent_); }
    fs::path parent_;
};

TEST_F(SocketDirTest, IsOursAloneAndGoesWithItsContent) {
    fs::path path;
    {
        const auto directory = SocketDir::make(parent_);
        ASSERT_TRUE(directory) << directory.error().message;
        path = directory->path();
        struct stat status{};
        ASSERT_EQ(::stat(path.c_str(), &status), 0);
        EXPECT_EQ(status.st_mode & 0777, 0700U);
        std::ofstream(path / "1.sock") << "x";
    }
    EXPECT_FALSE(fs::exists(path));
}

TEST_F(SocketDirTest, RemovesWhatAKilledProcessLeftAndNothingElse) {
    const pid_t dead = ::fork();
    if (dead == 0) ::_exit(0);
    ::waitpid(dead, nullptr, 0);
    const fs::path stale = parent_ / format("hearth-{}-abcdef", dead);
    const fs::path living = parent_ / format("hearth-{}-abcdef", ::getpid());
    const fs::path foreign = parent_ / "hearth-notes";
    for (const auto& path : {stale, living, foreign}) fs::create_directory(path);
    const auto directory = SocketDir::make(parent_);
    ASSERT_TRUE(directory);
    EXPECT_FALSE(fs::exists(stale));
    EXPECT_TRUE(fs::exists(living));
    EXPECT_TRUE(fs::exists(foreign));
}

TEST_F(SocketDirTest, SaysWhatIsWrongWithItsPlace) {
    EXPECT_EQ(SocketDir::make(parent_ / "missing").error().code, Code::Unavailable);
    const fs::path deep = parent_ / std::string(80, 'x');
    fs::create_directory(deep);
    EXPECT_EQ(SocketDir::make(deep).error().code, Code::Unavailable);
}

}  // namespace
}  // namespace hearth::worker
