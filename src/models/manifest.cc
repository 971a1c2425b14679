#include "models/manifest.h"

#include <algorithm>
#include <boost/json.hpp>
#include <set>

#include "base/format.h"
#include "base/hash.h"
#include "models/json_file.h"

namespace hearth::models {
namespace json = boost::json;
namespace {

constexpr std::size_t kHexDigits = 64;
constexpr std::size_t kManifestLayersMax = 1024;
constexpr std::size_t kMediaTypeBytesMax = 255;
constexpr std::uint64_t kLayerBytesMax = std::uint64_t{16} << 40;

Result<std::string> text_of(const json::object& layer, std::string_view member) {
    const json::value* value = layer.if_contains(member);
    if (value == nullptr || !value->is_string()) {
        return invalid(format("a layer of the manifest has no {}", member));
    }
    return std::string(value->get_string());
}

Result<Layer> parse_layer(const json::value& value) {
    const json::object* layer = value.if_object();
    if (layer == nullptr) return invalid("a layer of the manifest is no object");
    TRY(std::string media_type, text_of(*layer, "mediaType"));
    if (media_type.size() > kMediaTypeBytesMax) {
        return invalid(
            format("a media type of the manifest is longer than {} bytes", kMediaTypeBytesMax));
    }
    TRY(const std::string digest_text, text_of(*layer, "digest"));
    TRY(Digest digest, Digest::parse(digest_text));
    const json::value* size = layer->if_contains("size");
    boost::system::error_code error = json::error::not_number;
    const auto bytes = size != nullptr ? size->to_number<std::uint64_t>(error) : 0;
    if (error || bytes > kLayerBytesMax) {
        return invalid(format("layer {} of the manifest has no size from 0 to {}",
                              digest.short_hex(), kLayerBytesMax));
    }
    return Layer{.media_type = std::move(media_type), .digest = std::move(digest), .size = bytes};
}

json::object to_json(const Layer& layer) {
    return {{"mediaType", layer.media_type}, {"digest", layer.digest.text()}, {"size", layer.size}};
}

bool has_digest(const json::value& config) {
    const json::object* object = config.if_object();
    const json::value* digest = object != nullptr ? object->if_contains("digest") : nullptr;
    return digest != nullptr && !(digest->is_string() && digest->get_string().empty());
}

}  // namespace

Result<Digest> Digest::from_hex(std::string_view hex) {
    const bool right = hex.size() == kHexDigits && std::ranges::all_of(hex, [](char c) {
                           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
                       });
    if (!right) return invalid("a digest must be \"sha256:\" and 64 hexadecimal digits");
    return Digest(std::string(hex));
}

Result<Digest> Digest::parse(std::string_view text) {
    constexpr std::size_t kPrefix = 7;
    const bool known = text.starts_with("sha256:") || text.starts_with("sha256-");
    if (!known || text.size() != kPrefix + kHexDigits) return from_hex("");
    std::string hex(text.substr(kPrefix));
    std::ranges::transform(hex, hex.begin(), [](char c) {
        return c >= 'A' && c <= 'F' ? static_cast<char>(c - 'A' + 'a') : c;
    });
    return from_hex(hex);
}

Digest Digest::of(std::string_view bytes) { return Digest(sha256_hex(bytes)); }

const Layer* Manifest::find(std::string_view media_type) const {
    const auto found = std::ranges::find(layers, media_type, &Layer::media_type);
    return found != layers.end() ? &*found : nullptr;
}

std::vector<Digest> Manifest::weights() const {
    std::vector<Digest> found;
    for (const Layer& layer : layers) {
        if (layer.media_type == kModelLayer) found.push_back(layer.digest);
    }
    return found;
}

std::uint64_t Manifest::size() const {
    std::set<Digest> seen;
    std::uint64_t total = 0;
    const auto add = [&](const Layer& layer) {
        if (seen.insert(layer.digest).second) total += layer.size;
    };
    std::ranges::for_each(layers, add);
    if (config) add(*config);
    return total;
}

Result<Manifest> parse_manifest(std::string_view text) {
    if (text.size() > kManifestBytesMax) {
        return invalid(format("the manifest is {} bytes long; at most {} are read", text.size(),
                              kManifestBytesMax));
    }
    TRY(const json::value root, parse_json(text, "the manifest"));
    const json::object* object = root.if_object();
    const json::value* layers = object != nullptr ? object->if_contains("layers") : nullptr;
    if (layers == nullptr || !layers->is_array()) return invalid("the manifest has no layers");
    if (layers->get_array().size() > kManifestLayersMax) {
        return invalid(format("the manifest has {} layers; at most {} are read",
                              layers->get_array().size(), kManifestLayersMax));
    }
    Manifest manifest;
    for (const json::value& value : layers->get_array()) {
        TRY(Layer layer, parse_layer(value));
        manifest.layers.push_back(std::move(layer));
    }
    if (const json::value* config = object->if_contains("config");
        config != nullptr && has_digest(*config)) {
        TRY(manifest.config, parse_layer(*config));
    }
    return manifest;
}

std::string encode_manifest(const Manifest& manifest) {
    json::object root{{"schemaVersion", 2}, {"mediaType", kManifestMediaType}};
    if (manifest.config) root["config"] = to_json(*manifest.config);
    json::array layers;
    for (const Layer& layer : manifest.layers) layers.push_back(to_json(layer));
    root["layers"] = std::move(layers);
    return json::serialize(root);
}

}  // namespace hearth::models
