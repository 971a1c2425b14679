#pragma once

#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/error.h"
#include "models/model.h"
#include "models/store.h"

namespace hearth::models {

// A blob of a store under the name that whoever sent it gave it.
struct NamedBlob {
    std::string name;
    std::string digest;  // "sha256:HEX", unchecked
};

// The blobs by what they are: `file`, `projector` and `adapters`, each empty where none is one.
// Errors: InvalidArgument (no digest, a blob that is not there or no GGUF file, two that are the
// same to a model).
Result<GgufModel> sort_blobs(const Store& store, std::span<const NamedBlob> blobs);

// What a model is to have of its own, beside what it takes over from another. Absent: as there.
struct ModelChanges {
    std::optional<std::string> ollama_template;
    std::optional<std::string> system;
    std::string parameters;               // a JSON object over the other's; empty: none
    std::optional<std::string> messages;  // a JSON list
    std::vector<std::string> licenses;    // added to the other's
    std::filesystem::path weights;        // in place of the other's; empty: the same
    std::vector<std::filesystem::path> adapters = {};  // added to the other's
};

// Makes `name` of the GGUF model `from`, in any home: files that the store does not have are copied
// into it. Blocks for as long as that takes. Errors: InvalidArgument (`from` has no GGUF file),
// those of Store.
Result<void> create_model(const Store& store, const Model& from, const ModelChanges& changes,
                          const ModelName& name);

}  // namespace hearth::models
