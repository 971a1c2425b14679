#include <algorithm>
#include <array>
#include <map>

#include "models/gguf.h"

// Source: ggml.h (ggml_type, block sizes of ggml-common.h) and llama.h (llama_ftype). Gaps are
// formats that were removed.
namespace hearth::models {
namespace {

constexpr std::array<GgufTensorType, 43> kTensorTypes = {{
    {"F32", 1, 4},
    {"F16", 1, 2},
    {"Q4_0", 32, 18},
    {"Q4_1", 32, 20},
    {},
    {},
    {"Q5_0", 32, 22},
    {"Q5_1", 32, 24},
    {"Q8_0", 32, 34},
    {"Q8_1", 32, 36},
    {"Q2_K", 256, 84},
    {"Q3_K", 256, 110},
    {"Q4_K", 256, 144},
    {"Q5_K", 256, 176},
    {"Q6_K", 256, 210},
    {"Q8_K", 256, 292},
    {"IQ2_XXS", 256, 66},
    {"IQ2_XS", 256, 74},
    {"IQ3_XXS", 256, 98},
    {"IQ1_S", 256, 50},
    {"IQ4_NL", 32, 18},
    {"IQ3_S", 256, 110},
    {"IQ2_S", 256, 82},
    {"IQ4_XS", 256, 136},
    {"I8", 1, 1},
    {"I16", 1, 2},
    {"I32", 1, 4},
    {"I64", 1, 8},
    {"F64", 1, 8},
    {"IQ1_M", 256, 56},
    {"BF16", 1, 2},
    {},
    {},
    {},
    {"TQ1_0", 256, 54},
    {"TQ2_0", 256, 66},
    {},
    {},
    {},
    {"MXFP4", 32, 17},
    {"NVFP4", 64, 36},
    {"Q1_0", 128, 18},
    {"Q2_0", 64, 18},
}};

constexpr std::array<std::string_view, 42> kFileTypes = {
    "F32",   "F16",     "Q4_0",   "Q4_1",   "",       "",        "",       "Q8_0",   "Q5_0",
    "Q5_1",  "Q2_K",    "Q3_K_S", "Q3_K_M", "Q3_K_L", "Q4_K_S",  "Q4_K_M", "Q5_K_S", "Q5_K_M",
    "Q6_K",  "IQ2_XXS", "IQ2_XS", "Q2_K_S", "IQ3_XS", "IQ3_XXS", "IQ1_S",  "IQ4_NL", "IQ3_S",
    "IQ3_M", "IQ2_S",   "IQ2_M",  "IQ4_XS", "IQ1_M",  "BF16",    "",       "",       "",
    "TQ1_0", "TQ2_0",   "MXFP4",  "NVFP4",  "Q1_0",   "Q2_0"};

}  // namespace

const GgufTensorType* gguf_tensor_type(std::uint32_t type) {
    if (type >= kTensorTypes.size() || kTensorTypes[type].block_elements == 0) return nullptr;
    return &kTensorTypes[type];
}

std::string_view gguf_file_type(std::uint64_t file_type) {
    return file_type < kFileTypes.size() ? kFileTypes[file_type] : std::string_view{};
}

std::string gguf_precision(const GgufHeader& header) {
    const auto file_type = header.number("general.file_type");
    const auto named = file_type ? gguf_file_type(*file_type) : std::string_view{};
    if (!named.empty()) return std::string(named);
    std::map<std::uint32_t, std::uint64_t> elements;
    for (const GgufTensor& tensor : header.tensors) elements[tensor.type] += tensor.elements;
    const auto most =
        std::ranges::max_element(elements, {}, [](const auto& count) { return count.second; });
    return most == elements.end() ? "" : std::string(gguf_tensor_type(most->first)->name);
}

}  // namespace hearth::models
