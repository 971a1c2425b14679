#include "testing/gguf_models.h"

#include <stdexcept>

#include "models/gguf.h"
#include "testing/gguf_decoder.h"
#include "testing/gguf_encoder.h"
#include "testing/gguf_parts.h"

namespace hearth::testing {
namespace {

namespace fs = std::filesystem;

fs::path file_of(GgufKind kind) {
    switch (kind) {
        case GgufKind::Text: return "tiny-text-q8_0.gguf";
        case GgufKind::Fim: return "tiny-fim-q8_0.gguf";
        case GgufKind::Thinking: return "tiny-thinking-q8_0.gguf";
        case GgufKind::Vision: return "tiny-vision/tiny-vision-q8_0.gguf";
        case GgufKind::Embedder: return "tiny-embedder-q8_0.gguf";
        case GgufKind::Reranker: return "tiny-reranker-q8_0.gguf";
    }
    return {};
}

bool is_current(const fs::path& file) {
    const auto header = models::read_gguf_header(file);
    return header && header->number(kRecipeKey) == kRecipe;
}

Result<void> write(GgufKind kind, const fs::path& file) {
    switch (kind) {
        case GgufKind::Text: return write_tiny_text(file, "Tiny Text");
        case GgufKind::Fim: return write_tiny_fim(file);
        case GgufKind::Thinking: return write_tiny_thinking(file);
        case GgufKind::Vision: return write_tiny_text(file, "Tiny Vision");
        case GgufKind::Embedder: return write_tiny_embedder(file);
        case GgufKind::Reranker: return write_tiny_reranker(file);
    }
    return {};
}

Result<void> make(GgufKind kind, const fs::path& file) {
    if (kind == GgufKind::Vision) {
        // First, so that whoever sees the model finds its projector.
        const fs::path projector = file.parent_path() / "mmproj-tiny-vision.gguf";
        if (!is_current(projector)) TRY_VOID(write_tiny_projector(projector));
    }
    if (is_current(file)) return {};
    return write(kind, file);
}

}  // namespace

bool can_make_gguf() { return fs::exists(shared_file("models/templates")); }

fs::path llama_program(std::string_view name) { return fs::path(HEARTH_LLAMA_PROGRAMS) / name; }

fs::path gguf_cache() { return HEARTH_GGUF_CACHE; }

fs::path make_gguf(GgufKind kind, const fs::path& folder) {
    const fs::path file = folder / file_of(kind);
    if (const auto made = make(kind, file); !made) throw std::runtime_error(made.error().message);
    return file;
}

}  // namespace hearth::testing
