// Whole pulls from a registry that does nothing wrong, and what hostile manifests do.
#include "fetch/pull.h"

#include <gtest/gtest.h>

#include <thread>

#include "fetch/partial_blob.h"
#include "fetch/pull_fixture.h"

namespace hearth::fetch {
namespace {

using testing::pattern;
using testing::PullTest;
using testing::text_of;

TEST_F(PullTest, BringsAModelIntoTheStore) {
    const std::string weights = pattern(1000);
    const models::Digest digest = registry_.add_model("a/b:c", weights);
    ASSERT_TRUE(pull("a/b:c"));
    EXPECT_EQ(blob(digest), weights);
    EXPECT_TRUE(has_manifest("a/b:c"));
    EXPECT_TRUE(leftovers().empty());
}

TEST_F(PullTest, SpeaksInOllamasWords) {
    const models::Digest digest = registry_.add_model("a/b:c", pattern(1000));
    ASSERT_TRUE(pull("a/b:c"));
    EXPECT_TRUE(lines_.starts_with("{\"status\":\"pulling manifest\"}\n{\"status\":\"pulling " +
                                   digest.short_hex() + "\",\"digest\":\"" + digest.text() +
                                   "\",\"total\":1000,\"completed\":0}\n"))
        << lines_;
    EXPECT_TRUE(lines_.contains("\"total\":1000,\"completed\":1000}\n"));
    EXPECT_TRUE(lines_.contains("{\"status\":\"verifying sha256 digest\"}\n"));
    EXPECT_TRUE(
        lines_.ends_with("{\"status\":\"writing manifest\"}\n"
                         "{\"status\":\"removing any unused layers\"}\n"
                         "{\"status\":\"success\"}\n"));
}

TEST_F(PullTest, KeepsTheManifestByteForByte) {
    registry_.add_model("a/b:c", pattern(10));
    const models::Layer layer = registry_.add_blob(models::kModelLayer, pattern(20));
    const std::string manifest =
        R"( {"schemaVersion": 2, "extra": [1, 2], "layers": [{"mediaType": "x", "digest": ")" +
        layer.digest.text() + R"(", "size": 20}]} )";
    registry_.add_manifest("a/b:c", manifest);
    ASSERT_TRUE(pull("a/b:c"));
    const auto name = models::ModelName::parse(registry_.name("a/b:c"));
    EXPECT_EQ(store_.read_manifest_text(*name).value(), manifest);
}

TEST_F(PullTest, FetchesALargeBlobInRangesAtTheSameTime) {
    registry_.set({.gather = 4});
    const std::string weights = pattern(1 << 20);
    const models::Digest digest = registry_.add_model("a/b:c", weights);
    ASSERT_TRUE(pull("a/b:c"));
    EXPECT_EQ(blob(digest), weights);
    EXPECT_EQ(registry_.most_at_a_time(), 4);
    std::vector<std::string> ranges;
    for (const auto& seen : registry_.blob_requests()) {
        if (!seen.range.empty()) ranges.push_back(seen.range);
    }
    std::ranges::sort(ranges);
    EXPECT_EQ(ranges, (std::vector<std::string>{"bytes=0-262143", "bytes=262144-524287",
                                                "bytes=524288-786431", "bytes=786432-1048575"}));
}

TEST_F(PullTest, FetchesAtMostSoManyRangesAtATime) {
    options_.parts = {.parts = 3, .bytes_min = 10'000, .bytes_max = 10'000};
    const std::string weights = pattern(105'000);
    const models::Digest digest = registry_.add_model("a/b:c", weights);
    ASSERT_TRUE(pull("a/b:c"));
    EXPECT_EQ(blob(digest), weights);
    EXPECT_LE(registry_.most_at_a_time(), 3);
}

TEST_F(PullTest, DoesNotFetchABlobTwice) {
    registry_.add_model("a/b:c", pattern(100'000));
    ASSERT_TRUE(pull("a/b:c"));
    const std::size_t before = registry_.blob_requests().size();
    ASSERT_TRUE(pull("a/b:c"));
    EXPECT_EQ(registry_.blob_requests().size(), before);
    EXPECT_TRUE(lines_.contains("\"total\":100000,\"completed\":100000}"));
}

TEST_F(PullTest, BringsAnEmptyBlob) {
    const models::Digest digest = registry_.add_model("a/b:c", "");
    ASSERT_TRUE(pull("a/b:c"));
    EXPECT_EQ(store_.blob_bytes(digest), 0);
}

TEST_F(PullTest, SaysThatThereIsNoSuchModel) {
    EXPECT_EQ(failure("a/b:c"), Failure::NotFound);
    EXPECT_TRUE(message_.contains("no such model")) << message_;
    EXPECT_TRUE(message_.contains("check the name")) << message_;
}

TEST_F(PullTest, SaysThatANameIsNone) {
    for (const char* model : {"../x", "a/../b:c", "a/b:", "a/b/c/d:e"}) {
        EXPECT_EQ(failure(model), Failure::Invalid) << model;
    }
}

TEST_F(PullTest, RefusesAnotherMachineWithoutTls) {
    const UniqueFd null(::open("/dev/null", O_WRONLY | O_CLOEXEC));
    Progress progress(null.value());
    options_.model = "http://registry.invalid/a/b:c";
    const auto result = fetch::pull(options_, progress);
    ASSERT_FALSE(result);
    EXPECT_EQ(failure_of(result.error()), Failure::Invalid);
    EXPECT_TRUE(result.error().message.contains("--insecure")) << result.error().message;
}

TEST_F(PullTest, SaysThatNobodyAnswers) {
    options_.client.document_retries_max = 1;
    options_.model = "http://127.0.0.1:1/a/b:c";
    const UniqueFd null(::open("/dev/null", O_WRONLY | O_CLOEXEC));
    Progress progress(null.value());
    const auto result = fetch::pull(options_, progress);
    ASSERT_FALSE(result);
    EXPECT_EQ(failure_of(result.error()), Failure::Unreachable);
}

TEST_F(PullTest, RefusesAManifestThatIsNone) {
    const std::string digest = "sha256:" + std::string(64, 'a');
    const auto layer = [&](const std::string& name, const std::string& size) {
        return R"({"mediaType":"x","digest":")" + name + R"(","size":)" + size + "}";
    };
    std::string many;
    for (int i = 0; i < 129; ++i) many += (i > 0 ? "," : "") + layer(digest, "1");
    for (const std::string& manifest : {
             std::string("<html>"),
             std::string("{}"),
             std::string(R"({"layers":[]})"),
             R"({"layers":[)" + layer("sha256:../../../etc/passwd", "1") + "]}",
             R"({"layers":[)" + layer("sha512:" + std::string(64, 'a'), "1") + "]}",
             R"({"layers":[)" + layer(digest, "-1") + "]}",
             R"({"layers":[)" + layer(digest, "99999999999999999999") + "]}",
             R"({"layers":[)" + layer(digest, "8796093022208") + "]}",
             R"({"layers":[)" + layer(digest, "1") + "," + layer(digest, "2") + "]}",
             R"({"layers":[)" + many + "]}",
             R"({"layers":[)" + layer(digest, "1") + "]}" + std::string(5 << 20, ' '),
         }) {
        registry_.add_manifest("a/b:c", manifest);
        EXPECT_EQ(failure("a/b:c"), Failure::BadRegistry) << manifest.substr(0, 100);
    }
    EXPECT_FALSE(has_manifest("a/b:c"));
}

TEST_F(PullTest, SaysHowMuchRoomIsMissing) {
    registry_.add_manifest("a/b:c", R"({"layers":[{"mediaType":"x","digest":"sha256:)" +
                                        std::string(64, 'a') + R"(","size":4398046511104}]})");
    EXPECT_EQ(failure("a/b:c"), Failure::NoSpace);
    EXPECT_TRUE(message_.contains("needs 4398113 MB more")) << message_;
    EXPECT_TRUE(leftovers().empty());
}

TEST_F(PullTest, DoesNotTakeABlobOfAnotherLengthForTheRightOne) {
    const models::Digest digest = registry_.add_model("a/b:c", pattern(100));
    folder_.write("store/blobs/" + digest.file_name(), "cut short");
    EXPECT_EQ(failure("a/b:c"), Failure::BadRegistry);
    EXPECT_TRUE(message_.contains("delete " + store_.blob_path(digest).string())) << message_;
}

TEST_F(PullTest, WaitsForAnotherThatFetchesTheSame) {
    registry_.set({.bytes_per_second = 1'000'000});
    const std::string weights = pattern(500'000);
    const models::Digest digest = registry_.add_model("a/b:c", weights);
    PullOptions options = options_;
    options.model = registry_.name("a/b:c");
    std::thread other([&] {
        const UniqueFd null(::open("/dev/null", O_WRONLY | O_CLOEXEC));
        Progress progress(null.value());
        EXPECT_TRUE(fetch::pull(options, progress));
    });
    EXPECT_TRUE(pull("a/b:c"));
    other.join();
    EXPECT_EQ(blob(digest), weights);
    std::size_t asked = 0;
    for (const auto& seen : registry_.blob_requests()) asked += seen.path.contains(digest.text());
    EXPECT_EQ(asked, 4);
}

TEST_F(PullTest, GivesUpOnAnotherThatDoesNotGetOn) {
    options_.busy_time = std::chrono::seconds(0);
    const models::Digest digest = registry_.add_model("a/b:c", pattern(1000));
    const auto held = store_.open_partial(digest);
    ASSERT_TRUE(held);
    EXPECT_EQ(failure("a/b:c"), Failure::Busy);
}

TEST_F(PullTest, StopsWhenItIsTold) {
    registry_.set({.bytes_per_second = 200'000});
    const models::Digest digest = registry_.add_model("a/b:c", pattern(1 << 20));
    // As soon as something has come, however long that took.
    const std::filesystem::path partial = store_.partial_path(digest);
    options_.client.stopped = [partial] {
        return text_of(partial).find_first_not_of('\0') != std::string::npos;
    };
    EXPECT_EQ(failure("a/b:c"), Failure::Stopped);
    EXPECT_GT(PartialBlob::peek(store_, {.media_type = "", .digest = digest, .size = 1 << 20}), 0);

    options_.client.stopped = [] { return false; };
    registry_.set({});
    ASSERT_TRUE(pull("a/b:c"));
    EXPECT_FALSE(lines_.contains("\"total\":1048576,\"completed\":0}")) << lines_;
}

}  // namespace
}  // namespace hearth::fetch
