#pragma once

#include <string>
#include <vector>

#include "base/error.h"
#include "fetch/access.h"
#include "models/manifest.h"
#include "models/model_name.h"

namespace hearth::fetch {

// A blob a model needs, and where it is.
struct Wanted {
    models::Layer layer;
    std::string url;
};

// What a pull will do.
struct Plan {
    std::vector<Wanted> blobs;  // each once, in the order of the manifest
    std::string manifest;       // byte for byte as the registry gave it; empty: to be composed
};

// The manifest of a model at a registry (OCI distribution, as Ollama uses it), whatever the status:
// GET /v2/NAMESPACE/NAME/manifests/TAG. At most 4 MiB.
Result<Document> request_manifest(Access& access, const models::ModelName& name);

// Checks a manifest and says where its blobs are. Errors: bad_registry (no manifest, more than 128
// layers, a blob over 4 TiB, one blob with two sizes).
Result<Plan> plan_from_manifest(const Url& server, const models::ModelName& name,
                                std::string manifest);

}  // namespace hearth::fetch
