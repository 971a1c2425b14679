#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace hearth::models {

inline constexpr std::size_t kManifestBytesMax = 1 << 20;

// A SHA-256 as registries write it. A value whose text is safe as the name of a file: only parse()
// and of() make one.
class Digest {
  public:
    // "sha256:" or "sha256-" and 64 hexadecimal digits. Errors: InvalidArgument.
    static Result<Digest> parse(std::string_view text);
    // Of bytes in memory.
    static Digest of(std::string_view bytes);
    // From 64 lower-case hexadecimal digits. Errors: InvalidArgument.
    static Result<Digest> from_hex(std::string_view hex);

    const std::string& hex() const { return hex_; }               // 64 digits, lower case
    std::string text() const { return "sha256:" + hex_; }         // in manifests and addresses
    std::string file_name() const { return "sha256-" + hex_; }    // in blobs/
    std::string short_hex() const { return hex_.substr(0, 12); }  // for people

    auto operator<=>(const Digest&) const = default;

  private:
    explicit Digest(std::string hex) : hex_(std::move(hex)) {}
    std::string hex_;
};

// One blob of a model.
struct Layer {
    std::string media_type;
    Digest digest;
    std::uint64_t size = 0;  // bytes, as the manifest claims; at most 16 TiB
};

// What Ollama calls its layers. "application/vnd.ollama.image." stands before each.
inline constexpr std::string_view kLayerPrefix = "application/vnd.ollama.image.";
inline constexpr std::string_view kModelLayer = "application/vnd.ollama.image.model";
inline constexpr std::string_view kProjectorLayer = "application/vnd.ollama.image.projector";
inline constexpr std::string_view kAdapterLayer = "application/vnd.ollama.image.adapter";
inline constexpr std::string_view kTemplateLayer = "application/vnd.ollama.image.template";
inline constexpr std::string_view kSystemLayer = "application/vnd.ollama.image.system";
inline constexpr std::string_view kParametersLayer = "application/vnd.ollama.image.params";
inline constexpr std::string_view kMessagesLayer = "application/vnd.ollama.image.messages";
inline constexpr std::string_view kLicenseLayer = "application/vnd.ollama.image.license";
inline constexpr std::string_view kConfigMediaType =
    "application/vnd.docker.container.image.v1+json";
inline constexpr std::string_view kManifestMediaType =
    "application/vnd.docker.distribution.manifest.v2+json";

// The list of a model's blobs (Docker's image manifest, version 2).
struct Manifest {
    std::optional<Layer> config;
    std::vector<Layer> layers;  // in the manifest's order

    // The first layer of that type; nullptr when there is none. Valid as long as the manifest.
    const Layer* find(std::string_view media_type) const;
    // The layers with the model's weights: one, or the parts of a split model in their order.
    std::vector<Digest> weights() const;
    // Bytes of all layers and of the config, each blob once.
    std::uint64_t size() const;
};

// At most 1 MiB of JSON, 1,024 layers, media types of 255 bytes; members it does not know are
// skipped. Errors: InvalidArgument with one sentence.
Result<Manifest> parse_manifest(std::string_view text);
std::string encode_manifest(const Manifest& manifest);

}  // namespace hearth::models
