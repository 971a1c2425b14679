#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "models/model.h"
#include "models/store.h"

namespace hearth::models {

// What a model is to have of its own, beside what it takes over from another. Absent: as there.
struct ModelChanges {
    std::optional<std::string> ollama_template;
    std::optional<std::string> system;
    std::string parameters;               // a JSON object over the other's; empty: none
    std::optional<std::string> messages;  // a JSON list
    std::vector<std::string> licenses;    // added to the other's
    std::filesystem::path weights;        // in place of the other's; empty: the same
};

// Makes `name` of the GGUF model `from`, in any home: files that the store does not have are copied
// into it. Blocks for as long as that takes. Errors: InvalidArgument (`from` is split into several
// files, or has no GGUF file), those of Store.
Result<void> create_model(const Store& store, const Model& from, const ModelChanges& changes,
                          const ModelName& name);

}  // namespace hearth::models
