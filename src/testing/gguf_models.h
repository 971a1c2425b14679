#pragma once

// For tests only: models with random weights, real vocabularies and real chat
// templates, which llama.cpp's programs load.
#include <cstdint>
#include <filesystem>
#include <string_view>

namespace hearth::testing {

// What a tiny model can do. All but the embedder and the reranker have the vocabulary of Qwen2.5
// (151,936 tokens), two layers of 64 and a context of 4,096 tokens. Their greedy text depends on
// the prompt, goes on until it is stopped, and means nothing; when a chat offers tools and none has
// answered yet, they call one.
enum class GgufKind : std::uint8_t {
    Text,      // knows no tokens to fill in the middle
    Fim,       // the same, with those tokens
    Thinking,  // the template of Qwen3. Its answer to a chat is always the same: "Let me think." as
               // the reasoning, then a call of a tool, or "Done!" and the end
    Vision,    // sees images of 56 x 56: its projector, mmproj-tiny-vision.gguf, lies beside it
    Embedder,  // BERT with the vocabulary of bge, mean pooling, 64 dimensions, 512 tokens
    Reranker,  // the same, giving a query and a document a score instead
};

// False where ./dev setup has not put llama.cpp's vocabularies and templates.
bool can_make_gguf();

// A program of the pinned llama.cpp ("llama-server"). It may not be there.
std::filesystem::path llama_program(std::string_view name);

// Where the tests of this build keep their models.
std::filesystem::path gguf_cache();

// The file of a tiny model in `folder` (tiny-text-q8_0.gguf; the one that sees has a folder of its
// own there), written unless it is there already: the same bytes every time. Takes some hundred
// milliseconds and up to 27 MB. Any number of programs may ask at once. Throws std::runtime_error
// when setup has not run or the disk refuses.
std::filesystem::path make_gguf(GgufKind kind, const std::filesystem::path& folder = gguf_cache());

}  // namespace hearth::testing
