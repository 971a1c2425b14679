#include "fetch/partial_blob.h"

#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>

#include <filesystem>
#include <fstream>

#include "fetch/outcome.h"
#include "fetch/registry_fixture.h"
#include "models/test_folder.h"

namespace hearth::fetch {
namespace {

class PartialBlobTest : public ::testing::Test {
  protected:
    Result<PartialBlob> open() { return PartialBlob::open(store_, layer_, sizes_); }

    models::TestFolder folder_;
    models::Store store_{folder_.path()};
    const std::string bytes_ = testing::pattern(1000);
    const models::Layer layer_{
        .media_type = "x", .digest = models::Digest::of(bytes_), .size = 1000};
    const PartSizes sizes_{.parts = 2, .bytes_min = 100, .bytes_max = 1000};
    const std::filesystem::path state_ = store_.partial_path(layer_.digest).string() + ".json";
};

TEST_F(PartialBlobTest, BecomesTheBlob) {
    auto blob = open();
    ASSERT_TRUE(blob);
    ASSERT_EQ(blob->parts().size(), 2);
    ASSERT_TRUE(blob->write(1, bytes_.substr(500)));
    ASSERT_TRUE(blob->write(0, bytes_.substr(0, 500)));
    ASSERT_TRUE(blob->put());
    EXPECT_EQ(store_.blob_bytes(layer_.digest), 1000);
    EXPECT_FALSE(std::filesystem::exists(state_));
}

TEST_F(PartialBlobTest, GoesOnFromWhatWasSaved) {
    {
        auto blob = open();
        ASSERT_TRUE(blob->write(0, bytes_.substr(0, 300)));
        ASSERT_TRUE(blob->save());
        ASSERT_TRUE(blob->write(0, bytes_.substr(300, 100)));  // not saved
    }
    EXPECT_EQ(PartialBlob::peek(store_, layer_), 300);
    auto blob = open();
    EXPECT_EQ(blob->done(), 300);
    ASSERT_TRUE(blob->write(0, bytes_.substr(300, 200)));
    ASSERT_TRUE(blob->write(1, bytes_.substr(500)));
    EXPECT_TRUE(blob->put());
}

TEST_F(PartialBlobTest, KeepsItsOwnPartsWhateverIsAskedForNow) {
    ASSERT_TRUE(open()->save());
    EXPECT_EQ(PartialBlob::open(store_, layer_, {.parts = 10, .bytes_min = 1})->parts().size(), 2);
}

TEST_F(PartialBlobTest, BeginsAnewWithoutAUsableState) {
    for (const char* state : {"", "{}", "nonsense"}) {
        {
            auto blob = open();
            ASSERT_TRUE(blob->write(0, "something"));
            ASSERT_TRUE(blob->save());
        }
        std::ofstream(state_) << state;
        EXPECT_EQ(open()->done(), 0);
    }
}

TEST_F(PartialBlobTest, DoesNotTrustAStateBesideAFileOfAnotherLength) {
    {
        auto blob = open();
        ASSERT_TRUE(blob->write(0, bytes_.substr(0, 500)));
        ASSERT_TRUE(blob->save());
    }
    std::filesystem::resize_file(store_.partial_path(layer_.digest), 999);
    EXPECT_EQ(open()->done(), 0);
    EXPECT_FALSE(std::filesystem::exists(state_));
}

TEST_F(PartialBlobTest, DoesNotTrustAStateWithoutAFile) {
    {
        auto blob = open();
        ASSERT_TRUE(blob->write(0, bytes_.substr(0, 500)));
        ASSERT_TRUE(blob->save());
    }
    std::filesystem::remove(store_.partial_path(layer_.digest));
    EXPECT_EQ(open()->done(), 0);
}

TEST_F(PartialBlobTest, OfWrongBytesIsDeleted) {
    auto blob = open();
    ASSERT_TRUE(blob->write(0, std::string(500, 'x')));
    ASSERT_TRUE(blob->write(1, std::string(500, 'x')));
    ASSERT_TRUE(blob->save());
    const auto put = blob->put();
    ASSERT_FALSE(put);
    EXPECT_EQ(failure_of(put.error()), Failure::DigestMismatch);
    EXPECT_TRUE(std::filesystem::is_empty(folder_.path() / "blobs"));
}

TEST_F(PartialBlobTest, BelongsToOneAtATime) {
    const auto first = open();
    ASSERT_TRUE(first);
    const auto second = open();
    ASSERT_FALSE(second);
    EXPECT_EQ(failure_of(second.error()), Failure::Busy);
}

TEST_F(PartialBlobTest, StartsOverAsOnePart) {
    auto blob = open();
    ASSERT_TRUE(blob->write(1, bytes_.substr(500)));
    ASSERT_TRUE(blob->start_over());
    EXPECT_EQ(blob->parts(), (std::vector<Part>{{.size = 1000}}));
    ASSERT_TRUE(blob->write(0, bytes_));
    EXPECT_TRUE(blob->put());
}

TEST_F(PartialBlobTest, LeavesNothingWhenDiscarded) {
    auto blob = open();
    ASSERT_TRUE(blob->save());
    blob->discard();
    EXPECT_TRUE(std::filesystem::is_empty(folder_.path() / "blobs"));
}

// Only root may have a disk of a given size.
TEST_F(PartialBlobTest, SaysThatTheDiskIsTooSmall) {
    const std::string disk = folder_.path() / "disk";
    std::filesystem::create_directory(disk);
    const bool mounted = ::unshare(CLONE_NEWNS) == 0 &&
                         ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
                         ::mount("tmpfs", disk.c_str(), "tmpfs", 0, "size=1m") == 0;
    if (!mounted) GTEST_SKIP() << "no right to mount";
    const models::Store store(disk);
    models::Layer large = layer_;
    large.size = 2 << 20;
    const auto blob = PartialBlob::open(store, large, sizes_);
    const bool empty = std::filesystem::is_empty(disk + "/blobs");
    ::umount(disk.c_str());
    ASSERT_FALSE(blob);
    EXPECT_EQ(failure_of(blob.error()), Failure::NoSpace);
    EXPECT_TRUE(empty);
}

}  // namespace
}  // namespace hearth::fetch
