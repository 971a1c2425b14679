#include "models/manifest.h"

#include <gtest/gtest.h>

#include "base/format.h"

namespace hearth::models {
namespace {

const std::string kHex(64, 'a');

std::string layer(std::string_view size = "1", std::string_view digest = "") {
    return format(R"({{"mediaType":"{}","digest":"{}","size":{}}})", kModelLayer,
                  digest.empty() ? "sha256:" + kHex : digest, size);
}

std::string manifest_refusal(std::string_view text) {
    const auto parsed = parse_manifest(text);
    return parsed ? "accepted" : parsed.error().message;
}

std::string of_layers(std::string_view layers) { return format(R"({{"layers":[{}]}})", layers); }

TEST(Digest, IsAHashAndNothingElse) {
    EXPECT_EQ(Digest::parse("sha256:" + kHex)->file_name(), "sha256-" + kHex);
    EXPECT_EQ(Digest::parse("sha256-" + std::string(64, 'A'))->text(), "sha256:" + kHex);
    EXPECT_EQ(Digest::of("abc").hex(),
              "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    for (const std::string& text :
         {std::string(), kHex, "sha256:" + kHex + "a", "sha256:" + kHex.substr(1), "sha512:" + kHex,
          "sha256:../" + kHex.substr(3), "sha256:" + std::string(64, 'g'),
          "sha256:" + kHex.substr(1) + std::string(1, '\0')}) {
        EXPECT_FALSE(Digest::parse(text)) << text;
    }
}

TEST(Manifest, ReadsWhatItWrites) {
    Manifest manifest;
    manifest.config = Layer{std::string(kConfigMediaType), Digest::of("config"), 3};
    manifest.layers = {{std::string(kModelLayer), Digest::of("model"), 100},
                       {std::string(kSystemLayer), Digest::of("system"), 20},
                       {std::string(kLicenseLayer), Digest::of("system"), 20}};
    const auto again = parse_manifest(encode_manifest(manifest));
    ASSERT_TRUE(again) << again.error().message;
    EXPECT_EQ(again->layers.size(), 3U);
    EXPECT_EQ(again->find(kSystemLayer)->digest, Digest::of("system"));
    EXPECT_EQ(again->find(kAdapterLayer), nullptr);
    EXPECT_EQ(again->config->digest, Digest::of("config"));
    EXPECT_EQ(again->size(), 123U);
}

TEST(Manifest, DoesWithoutAConfig) {
    EXPECT_EQ(manifest_refusal(of_layers(layer())), "accepted");
    EXPECT_EQ(manifest_refusal(R"({"config":null,"layers":[]})"), "accepted");
    EXPECT_EQ(manifest_refusal(R"({"config":{"digest":"","size":0},"layers":[]})"), "accepted");
}

TEST(Manifest, RefusesWhatIsNone) {
    EXPECT_EQ(manifest_refusal("{}"), "the manifest has no layers");
    EXPECT_EQ(manifest_refusal("[]"), "the manifest has no layers");
    EXPECT_EQ(manifest_refusal(R"({"layers":{}})"), "the manifest has no layers");
    EXPECT_EQ(manifest_refusal(R"({"layers":[1]})"), "a layer of the manifest is no object");
    EXPECT_EQ(manifest_refusal(R"({"layers":[{"mediaType":"x"}]})"),
              "a layer of the manifest has no digest");
    EXPECT_TRUE(manifest_refusal("{\"layers\":").starts_with("the manifest is not valid JSON: "));
    EXPECT_NE(manifest_refusal(std::string(100'000, '[')), "accepted");
}

TEST(Manifest, RefusesDigestsThatArePaths) {
    for (const auto* digest : {"sha256:../../../etc/passwd", "/etc/passwd", "sha256-../x"}) {
        EXPECT_EQ(manifest_refusal(of_layers(layer("1", digest))),
                  "a digest must be \"sha256:\" and 64 hexadecimal digits");
    }
}

TEST(Manifest, RefusesSizesThatAreNone) {
    EXPECT_EQ(manifest_refusal(of_layers(layer("17592186044416"))), "accepted");
    for (const auto* size : {"17592186044417", "-1", "1e300", "\"1\"", "null", "1.5", "true"}) {
        EXPECT_EQ(manifest_refusal(of_layers(layer(size))),
                  "layer aaaaaaaaaaaa of the manifest has no size from 0 to 17592186044416")
            << size;
    }
}

TEST(Manifest, BoundsItsLengthAndItsLayers) {
    const auto many = [](std::size_t count) {
        std::string layers;
        for (std::size_t i = 0; i < count; ++i) layers += (i > 0 ? "," : "") + layer();
        return of_layers(layers);
    };
    EXPECT_EQ(manifest_refusal(many(1024)), "accepted");
    EXPECT_EQ(manifest_refusal(many(1025)), "the manifest has 1025 layers; at most 1024 are read");
    EXPECT_TRUE(
        manifest_refusal(std::string(kManifestBytesMax + 1, ' ')).contains("at most 1048576"));
}

}  // namespace
}  // namespace hearth::models
