#include "fetch/registry.h"

#include <map>

#include "base/format.h"
#include "fetch/outcome.h"
#include "fetch/ranges.h"

namespace hearth::fetch {
namespace {

constexpr std::size_t kManifestBytesMax = 4 << 20;
constexpr std::size_t kLayersMax = 128;

std::string repository_url(const Url& server, const models::ModelName& name) {
    return format("{}/v2/{}/{}", server.text, name.owner, name.name);
}

std::unexpected<Error> bad_manifest(const models::ModelName& name, std::string_view reason) {
    return failed(Failure::BadRegistry,
                  format("the manifest of {} cannot be used: {}", name.display(), reason));
}

}  // namespace

Result<Document> request_manifest(Access& access, const models::ModelName& name) {
    return access.get(repository_url(access.server(), name) + "/manifests/" + name.tag,
                      std::string(models::kManifestMediaType), kManifestBytesMax);
}

Result<Plan> plan_from_manifest(const Url& server, const models::ModelName& name,
                                std::string manifest) {
    const auto parsed = models::parse_manifest(manifest);
    if (!parsed) return bad_manifest(name, parsed.error().message);
    if (parsed->layers.empty()) return bad_manifest(name, "it names no layers");
    if (parsed->layers.size() > kLayersMax) {
        return bad_manifest(name, format("it names {} layers; at most {} are fetched",
                                         parsed->layers.size(), kLayersMax));
    }
    Plan plan;
    std::map<models::Digest, std::uint64_t> sizes;
    std::vector<models::Layer> layers = parsed->layers;
    if (parsed->config) layers.push_back(*parsed->config);
    for (const models::Layer& layer : layers) {
        if (layer.size > kBlobBytesMax) return bad_manifest(name, "a layer is larger than 4 TiB");
        const auto [known, fresh] = sizes.emplace(layer.digest, layer.size);
        if (known->second != layer.size) return bad_manifest(name, "one layer has two sizes");
        if (!fresh) continue;
        plan.blobs.push_back(
            {.layer = layer,
             .url = repository_url(server, name) + "/blobs/" + layer.digest.text()});
    }
    plan.manifest = std::move(manifest);
    return plan;
}

}  // namespace hearth::fetch
