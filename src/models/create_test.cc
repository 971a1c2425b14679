#include "models/create.h"

#include <gtest/gtest.h>

#include "models/gguf_model.h"
#include "models/gguf_name.h"
#include "models/scan_fixture.h"
#include "models/test_folder.h"
#include "models/test_gguf.h"

namespace hearth::models {
namespace {

// A folder with one GGUF model, and a store beside it.
class CreateTest : public ::testing::Test {
  protected:
    CreateTest() { folder_.write("models/base.gguf", llama_file()); }

    Model base() const {
        const std::vector<Source> sources = {{folder_.path() / "models", Home::Folder}};
        return Catalogue::scan(sources).models().at(0);
    }
    Result<void> create(const Model& from, const ModelChanges& changes, std::string_view name) {
        return create_model(store_, from, changes, *ModelName::parse(name));
    }
    Model made(std::string_view name) const {
        auto model = read_store_model(store_, *ModelName::parse(name));
        EXPECT_TRUE(model) << model.error().message;
        return *model;
    }

    const TestFolder folder_;
    const Store store_{folder_.path() / "store"};
};

TEST_F(CreateTest, AModelOfAnyFolderGetsTextsOfItsOwn) {
    const auto done = create(base(),
                             {.ollama_template = "{{ .Prompt }}",
                              .system = "You are a pirate.",
                              .parameters = R"({"temperature":0.5,"num_ctx":1024})",
                              .messages = R"([{"role":"user","content":"hi"}])",
                              .licenses = {"MIT", "as is"},
                              .weights = {}},
                             "pirate");
    ASSERT_TRUE(done) << done.error().message;
    const Model model = made("pirate");
    EXPECT_EQ(model.family, "llama");
    EXPECT_EQ(model.gguf->system, "You are a pirate.");
    EXPECT_EQ(model.gguf->ollama_template, "{{ .Prompt }}");
    EXPECT_EQ(model.gguf->license, "MIT\nas is");
    EXPECT_EQ(model.gguf->messages, R"([{"role":"user","content":"hi"}])");
    EXPECT_EQ(model.gguf->parameters, R"({"temperature":5E-1,"num_ctx":1024})");
}

TEST_F(CreateTest, BlobsAreSortedByWhatTheyAre) {
    const auto put = [&](std::string_view bytes) {
        return store_.put_bytes(bytes, kModelLayer)->digest.text();
    };
    const std::vector<NamedBlob> blobs = {{.name = "mmproj.gguf", .digest = put(projector_file())},
                                          {.name = "m.gguf", .digest = put(llama_file())}};
    const auto sorted = sort_blobs(store_, blobs);
    ASSERT_TRUE(sorted) << sorted.error().message;
    EXPECT_EQ(sorted->file.filename(), Digest::of(llama_file()).file_name());
    EXPECT_EQ(sorted->projector.filename(), Digest::of(projector_file()).file_name());
    EXPECT_TRUE(sorted->adapters.empty());
    const auto refusal = [&](const std::string& digest) {
        const std::vector<NamedBlob> two = {{.name = "m.gguf", .digest = put(llama_file())},
                                            {.name = "other", .digest = digest}};
        const auto result = sort_blobs(store_, two);
        return result ? "" : result.error().message;
    };
    EXPECT_TRUE(refusal("sha256:zz").contains("digest")) << refusal("sha256:zz");
    EXPECT_TRUE(refusal("sha256:" + std::string(64, 'a')).contains("other is not here; send it"));
    EXPECT_TRUE(refusal(put("safetensors")).contains("other is no GGUF file"));
    EXPECT_TRUE(refusal(put(llama_gguf().text("x", "y").file())).contains("one file too many"));
}

TEST_F(CreateTest, AnAdapterIsAddedToAnothersModel) {
    const std::string file = llama_gguf().text("general.type", "adapter").file();
    const auto layer = store_.put_bytes(file, kAdapterLayer);
    ASSERT_TRUE(layer);
    const std::vector<NamedBlob> blobs = {{.name = "a.gguf", .digest = layer->digest.text()}};
    const auto sorted = sort_blobs(store_, blobs);
    ASSERT_TRUE(sorted) << sorted.error().message;
    ASSERT_TRUE(
        create(base(), {.parameters = "", .weights = {}, .adapters = sorted->adapters}, "c"));
    EXPECT_EQ(made("c").gguf->adapters, std::vector{store_.blob_path(layer->digest)});
}

TEST_F(CreateTest, WhatIsNotChangedIsTakenOverWithoutACopy) {
    ASSERT_TRUE(create(base(), {.system = "one", .parameters = R"({"seed":1,"top_k":2})"}, "a"));
    const auto done = create(made("a"), {.parameters = R"({"seed":3})"}, "b");
    ASSERT_TRUE(done) << done.error().message;
    const Model b = made("b");
    EXPECT_EQ(b.gguf->system, "one");
    EXPECT_EQ(b.gguf->parameters, R"({"seed":3,"top_k":2})");
    EXPECT_EQ(b.gguf->file, made("a").gguf->file);
    ASSERT_TRUE(create(made("a"), {.system = ""}, "a")) << "over itself";
    EXPECT_EQ(made("a").gguf->system, "");
}

TEST_F(CreateTest, OtherWeightsTakeTheirPlace) {
    folder_.write("new.gguf", llama_gguf().text("general.name", "smaller").file());
    ASSERT_TRUE(create(base(), {.weights = folder_.path() / "new.gguf"}, "small"));
    EXPECT_NE(made("small").digest, base().digest);
}

TEST_F(CreateTest, ASplitModelKeepsItsPartsAndTheirNames) {
    folder_.write("parts/m-00001-of-00002.gguf", part_file(1, 2));
    folder_.write("parts/m-00002-of-00002.gguf", part_file(2, 2));
    Model split = base();
    split.gguf->file = folder_.path() / "parts/m-00001-of-00002.gguf";
    const auto done = create(split, {.system = "s"}, "whole");
    ASSERT_TRUE(done) << done.error().message;
    const Model whole = made("whole");
    EXPECT_EQ(whole.gguf->file.filename(), "model-00001-of-00002.gguf");
    const auto files = gguf_part_files(whole.gguf->file);
    ASSERT_EQ(files.size(), 2U);
    for (const auto& file : files) EXPECT_TRUE(std::filesystem::exists(file)) << file;
    ASSERT_TRUE(create(whole, {.system = "t"}, "again")) << "by links to the same blobs";
    EXPECT_EQ(made("again").gguf->file, whole.gguf->file);
    ASSERT_TRUE(store_.remove(*ModelName::parse("whole")));
    EXPECT_TRUE(std::filesystem::exists(files[1])) << "another has the same parts";
    ASSERT_TRUE(store_.remove(*ModelName::parse("again")));
    EXPECT_FALSE(std::filesystem::exists(whole.gguf->file.parent_path()));
}

TEST_F(CreateTest, RefusesWhatItCannotMakeOneModelOf) {
    Model folder = base();
    folder.gguf.reset();
    EXPECT_FALSE(create(folder, {}, "x"));
    Model split = base();
    split.gguf->file = folder_.path() / "m-00001-of-00003.gguf";
    EXPECT_FALSE(create(split, {}, "x")) << "its parts are missing";
    EXPECT_FALSE(create(base(), {.parameters = "[1]"}, "x"));
    EXPECT_FALSE(read_store_model(store_, *ModelName::parse("x")));
}

}  // namespace
}  // namespace hearth::models
