#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "base/error.h"
#include "models/model.h"
#include "models/model_name.h"
#include "models/store.h"

namespace hearth::models {

// What a GGUF file holds, read from its header and from those of its other parts and its projector.
// Of `gguf` the files and the texts are given; the rest is found here. An empty `digest` is made
// from the headers, the sizes and 16 sampled blocks of all files.
//
// Capabilities are decided as Ollama does, which knows no "rerank": that is a model whose pooling
// makes a score; "embedding" where the header names another pooling or the architecture is an
// encoder, "completion" otherwise, and then "tools" and "thinking" by the chat
// template, "insert" by the vocabulary, "vision" and "audio" by the projector.
//
// Errors: InvalidArgument with one sentence: no GGUF file, a part that is missing, a file that is
// no model by itself (a projector, an adapter, a vocabulary).
Result<Model> read_gguf_model(GgufModel gguf, std::string name, std::string digest = {});

// What a GGUF file is in a model, by its header. Errors: as above.
enum class GgufRole : std::uint8_t { Weights, Projector, Adapter };
Result<GgufRole> read_gguf_role(const std::filesystem::path& file);

// A model of a store: its manifest's blobs. The digest is that of the model's blob, or, where
// projector or adapters belong to it, over the digests of all. Errors: as above, NotFound
// (no such manifest), and one sentence for a manifest whose blobs are missing or have another
// length, or whose texts are longer than 1 MiB.
Result<Model> read_store_model(const Store& store, const ModelName& name);

}  // namespace hearth::models
