#pragma once

// For tests only: models with random weights that read images or texts.
#include <filesystem>

#include "base/error.h"

namespace hearth::testing {

// What turns images into embeddings for a tiny decoder: a vision transformer for 56 x 56 points and
// LLaVA's projector behind it, sixteen tokens an image. Errors: Internal when the disk refuses.
Result<void> write_tiny_projector(const std::filesystem::path& file);

// BERT with the vocabulary of bge. Errors: NotFound when setup has not run, Internal when the disk
// refuses.
Result<void> write_tiny_embedder(const std::filesystem::path& file);

// The same with a head that gives a query and a document one score: a layer with tanh and a
// classifier, as cross-encoders of Hugging Face's have it. Errors: as above.
Result<void> write_tiny_reranker(const std::filesystem::path& file);

}  // namespace hearth::testing
