#pragma once

#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

// A scratch folder with model files, removed at the end of a test.
namespace hearth::models {

class TestFolder {
  public:
    TestFolder() {
        std::string path =
            (std::filesystem::temp_directory_path() / "hearth-models-XXXXXX").string();
        if (::mkdtemp(path.data()) == nullptr) std::abort();
        path_ = path;
    }
    ~TestFolder() {
        std::error_code ignored;
        std::filesystem::remove_all(path_, ignored);
    }
    TestFolder(const TestFolder&) = delete;
    TestFolder& operator=(const TestFolder&) = delete;

    const std::filesystem::path& path() const { return path_; }

    const TestFolder& write(std::string_view name, std::string_view text) const {
        const std::filesystem::path file = path_ / name;
        std::filesystem::create_directories(file.parent_path());
        std::ofstream(file, std::ios::binary) << text;
        return *this;
    }

  private:
    std::filesystem::path path_;
};

// A safetensors file: the length, the header as given, and `data_bytes` zeros.
inline std::string safetensors_bytes(std::string_view header, std::size_t data_bytes) {
    std::string out(8, '\0');
    for (std::size_t i = 0; i < 8; ++i) {
        out[i] = static_cast<char>(static_cast<std::uint64_t>(header.size()) >> (8 * i) & 0xFF);
    }
    out += header;
    out.append(data_bytes, '\0');
    return out;
}

inline constexpr std::string_view kTinyBertConfig = R"({
  "model_type": "bert", "hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2,
  "intermediate_size": 16, "vocab_size": 10, "type_vocab_size": 2, "max_position_embeddings": 32,
  "hidden_act": "gelu", "layer_norm_eps": 1e-12})";

inline constexpr std::string_view kTinyNomicConfig = R"({
  "model_type": "nomic_bert", "n_embd": 768, "n_head": 12, "n_layer": 12, "n_inner": 3072,
  "n_positions": 8192, "rotary_emb_base": 1000, "rotary_emb_fraction": 1.0,
  "rotary_emb_interleaved": false, "rotary_emb_scale_base": null, "rotary_scaling_factor": null,
  "qkv_proj_bias": false, "mlp_fc1_bias": false, "mlp_fc2_bias": false, "prenorm": false,
  "causal": false, "parallel_block": false, "use_rms_norm": false, "vocab_size": 30528,
  "activation_function": "swiglu", "max_trained_positions": 2048, "type_vocab_size": 2,
  "layer_norm_epsilon": 1e-12})";

}  // namespace hearth::models
