// Pulls from the hub: by its registry route, and by its own interface.
#include <gtest/gtest.h>

#include "fetch/pull_fixture.h"
#include "models/gguf_writer.h"

namespace hearth::fetch {
namespace {

class PullHub : public testing::PullTest {
  protected:
    static std::string model(std::string_view architecture) {
        return models::GgufWriter()
            .text("general.architecture", architecture)
            .number("general.file_type", models::GgufType::U32, std::uint32_t{7})
            .tensor("t", 0, {4})
            .file();
    }
    models::Manifest manifest(std::string_view name) const {
        return store_.read_manifest(*models::ModelName::parse(name)).value_or(models::Manifest{});
    }
    std::vector<std::string> seen_authorization(std::string_view path) const {
        std::vector<std::string> values;
        for (const auto& seen : registry_.requests()) {
            if (seen.path.contains(path)) values.push_back(seen.authorization);
        }
        return values;
    }
};

TEST_F(PullHub, TakesTheRegistryRoute) {
    const models::Digest digest = registry_.add_model("org/repo:Q4_K_M", "weights");
    ASSERT_TRUE(pull("hf.co/org/repo:Q4_K_M"));
    EXPECT_EQ(blob(digest), "weights");
    EXPECT_EQ(manifest("hf.co/org/repo:Q4_K_M").layers.size(), 2);
    EXPECT_TRUE(seen_authorization("/api/models").empty());
}

TEST_F(PullHub, FallsBackToItsListOfFiles) {
    registry_.add_hub_file("org/repo", "m-Q4_0.gguf", model("small"));
    registry_.add_hub_file("org/repo", "m-Q8_0.gguf", model("llama"));
    registry_.add_hub_file("org/repo", "mmproj-m-f16.gguf", model("clip"));
    const auto result = pull("huggingface.co/org/repo:q8_0");
    ASSERT_TRUE(result) << result.error().message;
    const auto got = manifest("hf.co/org/repo:Q8_0");
    ASSERT_EQ(got.layers.size(), 2);
    EXPECT_EQ(got.layers[0].media_type, models::kModelLayer);
    EXPECT_EQ(blob(got.layers[0].digest), model("llama"));
    EXPECT_EQ(got.layers[1].media_type, models::kProjectorLayer);
    ASSERT_TRUE(got.config);
    EXPECT_EQ(blob(got.config->digest),
              R"({"model_format":"gguf","model_family":"llama","model_families":["llama"],)"
              R"("model_type":"","file_type":"Q8_0","architecture":"amd64","os":"linux",)"
              R"("rootfs":{"type":"layers","diff_ids":[]}})");
}

TEST_F(PullHub, BringsEveryPartOfASplitModelThatItsRegistryRouteRefuses) {
    registry_.set({.hub_route_status = 400});
    registry_.add_hub_file("org/repo", "Q8 0/m-Q8_0-00002-of-00002.gguf", "second");
    registry_.add_hub_file("org/repo", "Q8 0/m-Q8_0-00001-of-00002.gguf", model("llama"));
    const auto result = pull("hf.co/org/repo:Q8_0");
    ASSERT_TRUE(result) << result.error().message;
    const auto got = manifest("hf.co/org/repo:Q8_0");
    ASSERT_EQ(got.layers.size(), 2);
    EXPECT_EQ(blob(got.layers[0].digest), model("llama"));
    EXPECT_EQ(blob(got.layers[1].digest), "second");
}

TEST_F(PullHub, ReadsItsListPageByPage) {
    registry_.set({.hub_page = 2});
    for (const char* name : {"a", "b", "c", "d"}) {
        registry_.add_hub_file("org/repo", std::string(name) + ".txt", name);
    }
    registry_.add_hub_file("org/repo", "m-Q8_0.gguf", model("llama"));
    const auto result = pull("hf.co/org/repo:Q8_0");
    EXPECT_TRUE(result) << result.error().message;
}

TEST_F(PullHub, IsShownTheToken) {
    options_.hub_token = "hf_secret";
    registry_.add_hub_file("org/repo", "m-Q8_0.gguf", model("llama"));
    ASSERT_TRUE(pull("hf.co/org/repo:Q8_0"));
    for (const char* path : {"/v2/", "/api/models", "/resolve/"}) {
        EXPECT_EQ(seen_authorization(path), std::vector<std::string>{"Bearer hf_secret"}) << path;
    }
}

TEST_F(PullHub, AloneIsShownTheToken) {
    options_.hub_token = "hf_secret";
    registry_.add_model("a/b:c", "weights");
    ASSERT_TRUE(pull("a/b:c"));
    for (const std::string& value : seen_authorization("/")) EXPECT_EQ(value, "");
}

TEST_F(PullHub, SaysHowAHiddenRepositoryIsReached) {
    EXPECT_EQ(failure("hf.co/org/hidden:Q8_0"), Failure::Unauthorized);
    EXPECT_TRUE(message_.contains("set HF_TOKEN")) << message_;
}

TEST_F(PullHub, SaysWhichQuantisationsThereAre) {
    registry_.add_hub_file("org/repo", "m-Q8_0.gguf", model("llama"));
    EXPECT_EQ(failure("hf.co/org/repo:Q9"), Failure::NotFound);
    EXPECT_TRUE(message_.contains("there are Q8_0")) << message_;
}

TEST_F(PullHub, RefusesAFileThatIsNoModel) {
    registry_.add_hub_file("org/repo", "m-Q8_0.gguf", "version https://git-lfs");
    EXPECT_EQ(failure("hf.co/org/repo:Q8_0"), Failure::BadRegistry);
    EXPECT_TRUE(manifest("hf.co/org/repo:Q8_0").layers.empty());
}

TEST_F(PullHub, RefusesATokenThatIsNone) {
    options_.hub_token = "two words";
    EXPECT_EQ(failure("hf.co/org/repo:Q8_0"), Failure::Invalid);
}

}  // namespace
}  // namespace hearth::fetch
