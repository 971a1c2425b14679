#pragma once

#include <cmath>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>
#include <vector>

// Writes the tiny random models of README.md, "Tiny models", as Hugging Face folders: the same
// weights as tiny_models.py gives. For tests only; failures show as a folder that does not open.
namespace hearth::tiny_model {

struct Tensor {
    std::string name;
    std::vector<std::size_t> shape;
};

inline constexpr std::size_t kLayers = 2, kHidden = 128, kInner = 256;

inline std::vector<float> values(const Tensor& tensor) {
    const std::string_view name = tensor.name;
    std::uint64_t seed = 0xCBF29CE484222325;
    for (const char c : name) seed = (seed ^ static_cast<unsigned char>(c)) * 0x100000001B3;
    const bool matrix = tensor.shape.size() == 2;
    float scale = 0x1p-3F;
    if (name.ends_with("embeddings.weight")) {
        scale = 1;
    } else if (matrix &&
               (name.contains("Wqkv") || name.contains("query") || name.contains("key"))) {
        scale = 0x1p-2F;
    }
    const float base = !matrix && name.ends_with("weight") ? 1.0F : 0.0F;
    std::size_t count = 1;
    for (const std::size_t size : tensor.shape) count *= size;
    std::vector<float> result(count);
    for (std::size_t i = 0; i < count; ++i) {
        std::uint64_t z = seed + (i + 1) * 0x9E3779B97F4A7C15;
        z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9;
        z = (z ^ z >> 27) * 0x94D049BB133111EB;
        z ^= z >> 31;
        result[i] = base + scale * (static_cast<float>(z >> 40) * 0x1p-23F - 1.0F);
    }
    return result;
}

inline void add_norm(std::vector<Tensor>& tensors, const std::string& name) {
    tensors.push_back({name + ".weight", {kHidden}});
    tensors.push_back({name + ".bias", {kHidden}});
}

inline void add_linear(std::vector<Tensor>& tensors, const std::string& name, std::size_t out,
                       std::size_t inner) {
    tensors.push_back({name + ".weight", {out, inner}});
    tensors.push_back({name + ".bias", {out}});
}

inline std::vector<Tensor> nomic_tensors() {
    std::vector<Tensor> tensors{{"embeddings.word_embeddings.weight", {30528, kHidden}},
                                {"embeddings.token_type_embeddings.weight", {2, kHidden}}};
    add_norm(tensors, "emb_ln");
    for (std::size_t i = 0; i < kLayers; ++i) {
        const std::string layer = "encoder.layers." + std::to_string(i) + ".";
        tensors.push_back({layer + "attn.Wqkv.weight", {3 * kHidden, kHidden}});
        tensors.push_back({layer + "attn.out_proj.weight", {kHidden, kHidden}});
        tensors.push_back({layer + "mlp.fc11.weight", {kInner, kHidden}});
        tensors.push_back({layer + "mlp.fc12.weight", {kInner, kHidden}});
        tensors.push_back({layer + "mlp.fc2.weight", {kHidden, kInner}});
        add_norm(tensors, layer + "norm1");
        add_norm(tensors, layer + "norm2");
    }
    return tensors;
}

inline std::vector<Tensor> bert_tensors() {
    std::vector<Tensor> tensors{{"embeddings.word_embeddings.weight", {30522, kHidden}},
                                {"embeddings.position_embeddings.weight", {512, kHidden}},
                                {"embeddings.token_type_embeddings.weight", {2, kHidden}}};
    add_norm(tensors, "embeddings.LayerNorm");
    for (std::size_t i = 0; i < kLayers; ++i) {
        const std::string layer = "encoder.layer." + std::to_string(i) + ".";
        for (const char* part : {"query", "key", "value"}) {
            add_linear(tensors, layer + "attention.self." + part, kHidden, kHidden);
        }
        add_linear(tensors, layer + "attention.output.dense", kHidden, kHidden);
        add_norm(tensors, layer + "attention.output.LayerNorm");
        add_linear(tensors, layer + "intermediate.dense", kInner, kHidden);
        add_linear(tensors, layer + "output.dense", kHidden, kInner);
        add_norm(tensors, layer + "output.LayerNorm");
    }
    return tensors;
}

inline void write_safetensors(const std::filesystem::path& path,
                              const std::vector<Tensor>& tensors) {
    std::string header = "{";
    std::string data;
    for (const Tensor& tensor : tensors) {
        const std::vector<float> row = values(tensor);
        const std::size_t begin = data.size();
        data.append(reinterpret_cast<const char*>(row.data()), row.size() * sizeof(float));
        header += header.size() > 1 ? ",\"" : "\"";
        header += tensor.name + R"(":{"dtype":"F32","shape":[)";
        for (std::size_t i = 0; i < tensor.shape.size(); ++i) {
            header += (i > 0 ? "," : "") + std::to_string(tensor.shape[i]);
        }
        header += R"(],"data_offsets":[)" + std::to_string(begin) + "," +
                  std::to_string(data.size()) + "]}";
    }
    header += "}";
    header.resize((header.size() + 7) / 8 * 8, ' ');
    std::string size;
    for (unsigned i = 0; i < 8; ++i) size += static_cast<char>(header.size() >> 8 * i & 0xFF);
    std::ofstream(path, std::ios::binary) << size << header << data;
}

// `vocabulary` is the folder of the default model, whose tokenizer files are copied.
inline void write_folder(const std::filesystem::path& folder,
                         const std::filesystem::path& vocabulary, std::string_view config,
                         const std::vector<Tensor>& tensors, std::string_view pooling,
                         std::size_t tokens_max) {
    namespace fs = std::filesystem;
    fs::create_directories(folder / "1_Pooling");
    for (const char* name : {"tokenizer.json", "tokenizer_config.json", "vocab.txt"}) {
        fs::copy_file(vocabulary / name, folder / name, fs::copy_options::overwrite_existing);
    }
    const auto write = [&](const char* name, const std::string& text) {
        std::ofstream(folder / name) << text << "\n";
    };
    const std::string type = R"("type":"sentence_transformers.models.)";
    write("config.json", std::string(config));
    write("modules.json", R"([{"idx":0,"name":"0","path":"",)" + type + R"(Transformer"},)" +
                              R"({"idx":1,"name":"1","path":"1_Pooling",)" + type +
                              R"(Pooling"},{"idx":2,"name":"2","path":"2_Normalize",)" + type +
                              R"(Normalize"}])");
    const bool cls = pooling == "cls";
    write("1_Pooling/config.json",
          std::string(R"({"word_embedding_dimension":128,"pooling_mode_cls_token":)") +
              (cls ? "true" : "false") + R"(,"pooling_mode_mean_tokens":)" +
              (cls ? "false" : "true") +
              R"(,"pooling_mode_max_tokens":false,"pooling_mode_mean_sqrt_len_tokens":false})");
    write("sentence_bert_config.json",
          R"({"max_seq_length":)" + std::to_string(tokens_max) + R"(,"do_lower_case":false})");
    write_safetensors(folder / "model.safetensors", tensors);
}

inline void write_nomic(const std::filesystem::path& folder,
                        const std::filesystem::path& vocabulary) {
    write_folder(folder, vocabulary, R"({"architectures":["NomicBertModel"],
"model_type":"nomic_bert","activation_function":"swiglu","n_embd":128,"n_head":4,"n_inner":256,
"n_layer":2,"n_positions":8192,"max_trained_positions":2048,"rotary_emb_base":1000,
"rotary_emb_fraction":1.0,"rotary_emb_interleaved":false,"rotary_emb_scale_base":null,
"rotary_scaling_factor":null,"qkv_proj_bias":false,"mlp_fc1_bias":false,"mlp_fc2_bias":false,
"prenorm":false,"causal":false,"parallel_block":false,"use_rms_norm":false,
"layer_norm_epsilon":1e-12,"type_vocab_size":2,"vocab_size":30528,"pad_vocab_size_multiple":64,
"pad_token_id":0,"torch_dtype":"float32"})",
                 nomic_tensors(), "mean", 8192);
    std::ofstream(folder / "config_sentence_transformers.json")
        << R"({"prompts":{"search_query":"search_query: ","search_document":"search_document: ",
"classification":"classification: ","clustering":"clustering: "},"default_prompt_name":null})";
}

inline void write_bert_cls(const std::filesystem::path& folder,
                           const std::filesystem::path& vocabulary) {
    write_folder(folder, vocabulary, R"({"architectures":["BertModel"],"model_type":"bert",
"hidden_act":"gelu","hidden_size":128,"intermediate_size":256,"num_attention_heads":4,
"num_hidden_layers":2,"max_position_embeddings":512,"position_embedding_type":"absolute",
"layer_norm_eps":1e-12,"type_vocab_size":2,"vocab_size":30522,"pad_token_id":0,
"torch_dtype":"float32"})",
                 bert_tensors(), "cls", 512);
}

}  // namespace hearth::tiny_model
