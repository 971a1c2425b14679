#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "fetch/registry.h"
#include "models/manifest.h"
#include "models/model_name.h"
#include "models/store.h"

// The Hugging Face hub's own interface, for what its registry route does not offer: models split
// into several files, and quantisations it does not recognise.
// Source: huggingface.co/docs/hub/api, huggingface/huggingface_hub (list_repo_tree).
namespace hearth::fetch {

struct HubFile {
    std::string path;  // in the repository; no part of it is "..", none is empty
    std::uint64_t size = 0;
    std::optional<models::Digest> digest;  // of a file in large file storage
};

// One page of GET /api/models/ORG/REPO/tree/main; folders and odd paths are left out.
// Errors: bad_registry.
Result<std::vector<HubFile>> parse_tree(std::string_view document);

// The address of the next page in a Link header (RFC 8288); nullopt: this was the last.
std::optional<std::string> next_page(std::string_view link);

// The files that make up one model of a repository.
struct HubChoice {
    std::vector<HubFile> parts;  // one, or all of a split model in order
    std::optional<HubFile> projector;
};

// By the quantisation a tag names, without regard to case; "latest" is Q4_K_M or else the first.
// Errors: not_found (with the quantisations there are), bad_registry (a part of a split model is
// missing, or a file has no SHA-256).
Result<HubChoice> choose_files(const std::vector<HubFile>& files, std::string_view tag);

// Lists the repository and plans the pull; the plan has no manifest, and the layers of its blobs
// are those that compose_manifest() will name. Errors: those of choose_files and of a document.
Result<Plan> plan_from_hub(Access& access, const models::ModelName& name);

// Once the blobs are there: writes the config as a blob and returns the manifest. Errors:
// bad_registry (the model is no GGUF file), store.
Result<std::string> compose_manifest(const models::Store& store, const Plan& plan);

}  // namespace hearth::fetch
