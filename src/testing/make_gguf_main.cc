// hearth_make_gguf KIND PATH: writes a model with random weights, for measurements and for trying
// things by hand.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <exception>
#include <map>
#include <string>

#include "testing/gguf_decoder.h"
#include "testing/gguf_models.h"

namespace hearth::testing {
namespace {

const std::map<std::string, GgufKind> kTinyModels = {
    {"text", GgufKind::Text},         {"fim", GgufKind::Fim},
    {"thinking", GgufKind::Thinking}, {"vision", GgufKind::Vision},
    {"embedder", GgufKind::Embedder}, {"reranker", GgufKind::Reranker}};

struct Wish {
    std::string kind;
    std::string path;
    std::string type = "f16";
    std::uint32_t layers = 0;
};

Result<void> write_shape(const Wish& wish) {
    const bool coder = wish.kind == "coder-0.5b";
    DecoderShape shape = coder ? coder_0_5b() : qwen3_30b_a3b(wish.layers > 0 ? wish.layers : 48);
    if (coder && wish.layers > 0) shape.layers = wish.layers;
    shape.type = wish.type == "q8_0" ? WeightType::Q8_0 : WeightType::F16;
    return write_decoder(shape, wish.path);
}

int run(const Wish& wish) {
    if (const auto tiny = kTinyModels.find(wish.kind); tiny != kTinyModels.end()) {
        std::printf("%s\n", make_gguf(tiny->second, wish.path).c_str());
        return 0;
    }
    if (const auto written = write_shape(wish); !written) {
        std::fprintf(stderr, "hearth_make_gguf: %s\n", written.error().message.c_str());
        return 1;
    }
    std::printf("%s\n", wish.path.c_str());
    return 0;
}

}  // namespace
}  // namespace hearth::testing

int main(int count, char** words) {
    hearth::testing::Wish wish;
    CLI::App app("Writes a GGUF model with random weights.");
    app.add_option(
           "kind", wish.kind,
           "text, fim, thinking, vision, embedder or reranker (tiny, for tests); or the sizes of "
           "Qwen2.5-Coder-0.5B or Qwen3-30B-A3B")
        ->required()
        ->check(CLI::IsMember({"text", "fim", "thinking", "vision", "embedder", "reranker",
                               "coder-0.5b", "qwen3-30b-a3b"}));
    app.add_option("path", wish.path, "a folder for a tiny model, a file for the others")
        ->required();
    app.add_option("--type", wish.type, "of the matrices, not for tiny models (default: f16)")
        ->check(CLI::IsMember({"f16", "q8_0"}));
    app.add_option("--layers", wish.layers, "fewer than the model has, not for tiny ones")
        ->check(CLI::Range(1, 48));
    CLI11_PARSE(app, count, words);
    try {
        return hearth::testing::run(wish);
    } catch (const std::exception& error) {
        std::fprintf(stderr, "hearth_make_gguf: %s\n", error.what());
        return 1;
    }
}
