#include "models/store.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <thread>

#include "base/format.h"
#include "models/durable_file.h"
#include "models/test_folder.h"

namespace hearth::models {
namespace {

namespace fs = std::filesystem;

ModelName named(std::string_view text) { return *ModelName::parse(text); }

std::span<const std::byte> bytes_of(std::string_view text) {
    return std::as_bytes(std::span(text));
}

std::string read(const fs::path& file) {
    std::ifstream stream(file, std::ios::binary);
    return {std::istreambuf_iterator<char>(stream), {}};
}

std::size_t files_in(const fs::path& folder) {
    std::error_code error;
    const fs::directory_iterator files(folder, error);
    return static_cast<std::size_t>(std::distance(files, fs::directory_iterator()));
}

class StoreTest : public testing::Test {
  protected:
    // A model of these contents, one layer each.
    void make(std::string_view name, const std::vector<std::string>& contents) {
        Manifest manifest;
        for (const std::string& content : contents) {
            auto layer = store_.put_bytes(content, kModelLayer);
            ASSERT_TRUE(layer) << layer.error().message;
            manifest.layers.push_back(*std::move(layer));
        }
        const auto written = store_.write_manifest(named(name), encode_manifest(manifest));
        ASSERT_TRUE(written) << written.error().message;
    }
    fs::path blobs() const { return folder_.path() / "store/blobs"; }
    fs::path manifests() const { return folder_.path() / "store/manifests"; }

    const TestFolder folder_;
    const Store store_{folder_.path() / "store"};
};

TEST_F(StoreTest, IsNothingUntilItIsWrittenTo) {
    EXPECT_TRUE(store_.list().empty());
    EXPECT_TRUE(store_.listing().complete);
    EXPECT_FALSE(store_.has_blob(Digest::of("x")));
    EXPECT_EQ(store_.read_manifest(named("x")).error().code, Code::NotFound);
    EXPECT_EQ(store_.remove(named("x")).error().reason, "model_not_found");
    EXPECT_EQ(store_.prune(std::chrono::seconds(0)), 0U);
    EXPECT_GT(*store_.bytes_free(), 0U);
    EXPECT_FALSE(fs::exists(store_.root()));
    EXPECT_FALSE(is_store(store_.root()));
}

TEST_F(StoreTest, LaysModelsOutAsOllamaDoes) {
    make("hf.co/Org/Repo:Q4_K_M", {"weights"});
    EXPECT_TRUE(is_store(store_.root()));
    EXPECT_EQ(read(blobs() / ("sha256-" + sha256_hex("weights"))), "weights");
    EXPECT_TRUE(fs::exists(manifests() / "hf.co/Org/Repo/Q4_K_M"));
    const auto manifest = store_.read_manifest(named("HF.CO/org/repo:q4_k_m"));
    ASSERT_TRUE(manifest);
    EXPECT_EQ(manifest->layers[0].size, 7U);
    EXPECT_EQ(store_.list()[0].display(), "hf.co/Org/Repo:Q4_K_M");
}

TEST_F(StoreTest, KeepsAManifestByteForByteAndUnderOneSpelling) {
    make("Model", {"weights"});
    const std::string spaced = R"( { "layers" : [] } )";
    ASSERT_TRUE(store_.write_manifest(named("mODEL"), spaced));
    EXPECT_EQ(store_.read_manifest_text(named("model")), spaced);
    EXPECT_EQ(store_.list().size(), 1U);
    EXPECT_EQ(files_in(manifests()), 1U);
}

TEST_F(StoreTest, RefusesAManifestWhoseBlobsAreMissing) {
    const Manifest manifest{.layers = {{"x", Digest::of("absent"), 1}}};
    const auto written = store_.write_manifest(named("x"), encode_manifest(manifest));
    ASSERT_FALSE(written);
    EXPECT_EQ(written.error().message,
              format("blob {} of x:latest is missing", Digest::of("absent").text()));
    EXPECT_FALSE(store_.write_manifest(named("x"), "{}"));
    EXPECT_TRUE(store_.list().empty());
    EXPECT_EQ(files_in(manifests()), 0U);
}

TEST_F(StoreTest, CopiesUnderAnotherName) {
    make("a", {"weights"});
    ASSERT_TRUE(store_.copy(named("a"), named("org/b:tag")));
    EXPECT_EQ(*store_.read_manifest_text(named("org/b:tag")),
              *store_.read_manifest_text(named("a")));
    EXPECT_EQ(store_.copy(named("none"), named("c")).error().code, Code::NotFound);
}

TEST_F(StoreTest, RemovesTheBlobsThatNoOtherModelNames) {
    make("a", {"shared", "only a"});
    make("b", {"shared", "only b"});
    ASSERT_TRUE(store_.remove(named("A:latest")));
    EXPECT_TRUE(store_.has_blob(Digest::of("shared")));
    EXPECT_TRUE(store_.has_blob(Digest::of("only b")));
    EXPECT_FALSE(store_.has_blob(Digest::of("only a")));
    ASSERT_TRUE(store_.remove(named("b")));
    EXPECT_EQ(files_in(blobs()), 0U);
    EXPECT_EQ(files_in(manifests()), 0U);
}

TEST_F(StoreTest, KeepsBlobsWhileSomebodyHoldsALease) {
    make("a", {"weights"});
    {
        const auto lease = store_.lease();
        const auto another = store_.lease();
        ASSERT_TRUE(lease && another);
        ASSERT_TRUE(store_.remove(named("a")));
        EXPECT_EQ(store_.prune(std::chrono::seconds(0)), 0U);
        EXPECT_TRUE(store_.has_blob(Digest::of("weights")));
    }
    EXPECT_EQ(store_.prune(std::chrono::hours(1)), 0U);
    EXPECT_EQ(store_.prune(std::chrono::seconds(0)), 1U);
    EXPECT_FALSE(store_.has_blob(Digest::of("weights")));
}

TEST_F(StoreTest, RemovesABrokenManifestAndLeavesEveryBlob) {
    make("a", {"weights"});
    make("b", {"other"});
    folder_.write("store/manifests/registry.ollama.ai/library/b/latest", "{broken");
    ASSERT_TRUE(store_.remove(named("a")));
    EXPECT_EQ(store_.prune(std::chrono::seconds(0)), 0U);
    EXPECT_TRUE(store_.has_blob(Digest::of("weights")));
    ASSERT_TRUE(store_.remove(named("b")));
    EXPECT_TRUE(store_.list().empty());
    EXPECT_EQ(store_.prune(std::chrono::seconds(0)), 2U);
}

TEST_F(StoreTest, PrunesWhatACrashLeftAndNothingElse) {
    make("a", {"weights"});
    folder_.write("store/blobs/.new-1-1", "x")
        .write("store/manifests/.new-1-2", "x")
        .write("store/blobs/" + Digest::of("p").file_name() + "-partial", "x")
        .write("store/blobs/notes.txt", "x");
    std::ofstream(store_.partial_path(Digest::of("gone")).string() + ".json") << "{}";
    std::ofstream(store_.partial_path(Digest::of("gone")).string() + ".json.new") << "{}";
    EXPECT_EQ(store_.prune(std::chrono::seconds(0)), 5U);
    EXPECT_TRUE(store_.has_blob(Digest::of("weights")));
    EXPECT_TRUE(fs::exists(blobs() / "notes.txt"));
}

TEST_F(StoreTest, TakesABlobInPieces) {
    auto writer = store_.begin_blob();
    ASSERT_TRUE(writer);
    ASSERT_TRUE(writer->write(bytes_of("wei")));
    ASSERT_TRUE(writer->write(bytes_of("ghts")));
    EXPECT_EQ(writer->bytes_written(), 7U);
    EXPECT_EQ(writer->finish(Digest::of("weights")), Digest::of("weights"));
    EXPECT_EQ(store_.blob_bytes(Digest::of("weights")), 7U);
    EXPECT_EQ(files_in(blobs()), 1U);
}

TEST_F(StoreTest, LeavesNothingOfABlobThatIsWrongOrGivenUp) {
    {
        auto given_up = store_.begin_blob();
        ASSERT_TRUE(given_up);
        ASSERT_TRUE(given_up->write(bytes_of("x")));
    }
    auto wrong = store_.begin_blob();
    ASSERT_TRUE(wrong);
    ASSERT_TRUE(wrong->write(bytes_of("x")));
    const auto finished = wrong->finish(Digest::of("y"));
    ASSERT_FALSE(finished);
    EXPECT_EQ(finished.error().code, Code::InvalidArgument);
    EXPECT_EQ(finished.error().reason, "digest_mismatch");
    EXPECT_EQ(files_in(blobs()), 0U);
}

TEST_F(StoreTest, ReplacesABlobOfTheWrongLength) {
    folder_.write("store/blobs/" + Digest::of("weights").file_name(), "wei");
    ASSERT_TRUE(store_.put_bytes("weights", kModelLayer));
    EXPECT_EQ(store_.blob_bytes(Digest::of("weights")), 7U);
}

TEST_F(StoreTest, CopiesAFileIn) {
    folder_.write("model.gguf", "weights");
    const auto layer = store_.put_file(folder_.path() / "model.gguf", kModelLayer);
    ASSERT_TRUE(layer);
    EXPECT_EQ(layer->digest, Digest::of("weights"));
    EXPECT_EQ(layer->size, 7U);
    EXPECT_EQ(
        store_.put_file(folder_.path() / "model.gguf", kModelLayer, Digest::of("x")).error().reason,
        "digest_mismatch");
    EXPECT_EQ(store_.put_file(folder_.path() / "none", kModelLayer).error().code, Code::NotFound);
    EXPECT_EQ(store_.put_file(folder_.path(), kModelLayer).error().code, Code::NotFound);
    EXPECT_EQ(::mkfifo((folder_.path() / "pipe").c_str(), 0600), 0);
    EXPECT_EQ(store_.put_file(folder_.path() / "pipe", kModelLayer).error().code, Code::NotFound);
}

TEST_F(StoreTest, ResumesAPartialBlobAndLetsOneHaveIt) {
    const Digest digest = Digest::of("weights");
    {
        const auto file = store_.open_partial(digest);
        ASSERT_TRUE(file);
        EXPECT_EQ(::pwrite(file->value(), "weig", 4, 0), 4);
        const auto second = store_.open_partial(digest);
        ASSERT_FALSE(second);
        EXPECT_EQ(second.error().reason, "blob_busy");
    }
    EXPECT_FALSE(store_.has_blob(digest));
    const auto file = store_.open_partial(digest);
    ASSERT_TRUE(file);
    EXPECT_EQ(fs::file_size(store_.partial_path(digest)), 4U);
    EXPECT_EQ(::pwrite(file->value(), "hts", 3, 4), 3);
    ASSERT_TRUE(store_.put_partial(digest, *file));
    EXPECT_TRUE(store_.has_blob(digest));
    EXPECT_FALSE(fs::exists(store_.partial_path(digest)));
}

TEST_F(StoreTest, ThrowsAPartialBlobOfTheWrongDigestAway) {
    const Digest digest = Digest::of("weights");
    const auto file = store_.open_partial(digest);
    ASSERT_TRUE(file);
    EXPECT_EQ(::pwrite(file->value(), "wrong", 5, 0), 5);
    EXPECT_EQ(store_.put_partial(digest, *file).error().reason, "digest_mismatch");
    EXPECT_EQ(files_in(blobs()), 0U);
}

TEST_F(StoreTest, SeveralWritersLoseNothing) {
    std::vector<std::thread> writers;
    for (int writer = 0; writer < 4; ++writer) {
        writers.emplace_back([this, writer] {
            const Store mine(store_.root());
            for (int i = 0; i < 10; ++i) {
                const auto layer = mine.put_bytes(format("{}", i), kModelLayer);
                const Manifest manifest{.layers = {*layer}};
                EXPECT_TRUE(mine.write_manifest(named(format("m{}:{}", writer, i)),
                                                encode_manifest(manifest)));
                EXPECT_TRUE(mine.copy(named(format("m{}:{}", writer, i)), named("same")));
            }
        });
    }
    for (std::thread& writer : writers) writer.join();
    EXPECT_EQ(store_.list().size(), 41U);
    EXPECT_EQ(files_in(blobs()), 10U);
}

TEST_F(StoreTest, WalksNoSymbolicLinksAndSkipsWhatIsNoName) {
    make("a", {"weights"});
    const fs::path host = manifests() / "registry.ollama.ai";
    fs::create_directory_symlink(manifests(), host / "loop");
    fs::create_symlink("self", host / "library/a/self");
    folder_.write("store/manifests/registry.ollama.ai/library/b c/latest", "{}")
        .write("store/manifests/registry.ollama.ai/library/a/.hidden", "{}")
        .write("store/manifests/registry.ollama.ai/library/short", "{}");
    const Store::Listing listing = store_.listing();
    ASSERT_EQ(listing.names.size(), 1U);
    EXPECT_EQ(listing.names[0].display(), "a:latest");
    ASSERT_EQ(listing.refused.size(), 1U);
    EXPECT_EQ(listing.refused[0], "registry.ollama.ai/library/b c/latest");
    // What stands behind the link may name blobs too.
    EXPECT_FALSE(listing.complete);
    ASSERT_TRUE(store_.remove(named("a")));
    EXPECT_TRUE(store_.has_blob(Digest::of("weights")));
}

TEST_F(StoreTest, LooksAtABoundedNumberOfFiles) {
    const fs::path tags = manifests() / "h/o/n";
    fs::create_directories(tags);
    for (int i = 0; i < 4097; ++i) fs::create_symlink("/dev/null", tags / format("t{}", i));
    const Store::Listing listing = store_.listing();
    EXPECT_LE(listing.names.size(), 4096U);
    EXPECT_FALSE(listing.complete);
}

TEST_F(StoreTest, SaysWhatTheSystemRefuses) {
    folder_.write("store", "a file");
    const auto lease = store_.lease();
    ASSERT_FALSE(lease);
    EXPECT_EQ(lease.error().code, Code::Unavailable);
    EXPECT_TRUE(lease.error().message.contains("store cannot be created: "))
        << lease.error().message;
    EXPECT_FALSE(store_.begin_blob());
    EXPECT_FALSE(store_.open_partial(Digest::of("x")));
    const Error full = system_error("x cannot be written", ENOSPC);
    EXPECT_EQ(full.message, "x cannot be written: the disk is full");
    EXPECT_EQ(full.reason, "disk_full");
}

TEST_F(StoreTest, ReadsNoHugeManifest) {
    folder_.write("store/manifests/registry.ollama.ai/library/a/latest",
                  std::string(kManifestBytesMax + 1, ' '));
    EXPECT_EQ(store_.read_manifest(named("a")).error().message,
              "its manifest is 1048577 bytes long; at most 1048576 are read");
}

}  // namespace
}  // namespace hearth::models
