#pragma once

#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/format.h"

// Model folders whose weights are a function of the tensor's name (tests/reference/README.md, "Tiny
// models"), written into a scratch folder that is removed at the end of a test.
namespace hearth::encoder {

struct TinyTensor {
    std::string name;
    std::vector<std::size_t> shape;
};

struct TinySizes {
    std::size_t hidden = 128, heads = 4, inner = 256, layers = 2, vocabulary = 30522;
};

class TinyFolder {
  public:
    using Change = std::function<void(const TinyTensor&, std::vector<float>&)>;

    TinyFolder() {
        std::string path =
            (std::filesystem::temp_directory_path() / "hearth-engine-XXXXXX").string();
        if (::mkdtemp(path.data()) == nullptr) std::abort();
        path_ = path;
    }
    ~TinyFolder() {
        std::error_code ignored;
        std::filesystem::remove_all(path_, ignored);
    }
    TinyFolder(const TinyFolder&) = delete;
    TinyFolder& operator=(const TinyFolder&) = delete;

    const std::filesystem::path& path() const { return path_; }

    void write(std::string_view name, std::string_view text) const {
        const auto file = path_ / name;
        std::filesystem::create_directories(file.parent_path());
        std::ofstream(file, std::ios::binary) << text;
    }

    void write_weights(const std::vector<TinyTensor>& tensors, const Change& change = {}) const {
        std::string header = "{";
        std::string data;
        for (const TinyTensor& tensor : tensors) {
            std::vector<float> values = make_values(tensor);
            if (change) change(tensor, values);
            const std::size_t begin = data.size();
            data.append(reinterpret_cast<const char*>(values.data()),
                        values.size() * sizeof(float));
            std::string shape;
            for (const std::size_t n : tensor.shape) {
                shape += format("{}{}", shape.empty() ? "" : ",", n);
            }
            header += format(R"({}"{}":{{"dtype":"F32","shape":[{}],"data_offsets":[{},{}]}})",
                             header.size() > 1 ? "," : "", tensor.name, shape, begin, data.size());
        }
        header += "}";
        header.append((8 - header.size() % 8) % 8, ' ');
        const std::uint64_t size = header.size();
        std::string front(8, '\0');
        std::memcpy(front.data(), &size, 8);
        write("model.safetensors", front + header + data);
    }

    void write_pooling(std::string_view mode) const {
        write("modules.json",
              R"([{"idx":0,"name":"0","path":"","type":"sentence_transformers.models.Transformer"},
{"idx":1,"name":"1","path":"1_Pooling","type":"sentence_transformers.models.Pooling"},
{"idx":2,"name":"2","path":"2_Normalize","type":"sentence_transformers.models.Normalize"}])");
        write("1_Pooling/config.json",
              format(R"({{"word_embedding_dimension":128,"pooling_mode_cls_token":{},)"
                     R"("pooling_mode_mean_tokens":{}}})",
                     mode == "cls", mode == "mean"));
    }

    void write_bert(std::string_view pooling = "cls", const TinySizes& sizes = {},
                    const Change& change = {}) const {
        write("config.json",
              format(R"({{"model_type":"bert","hidden_act":"gelu","hidden_size":{},)"
                     R"("num_attention_heads":{},"intermediate_size":{},"num_hidden_layers":{},)"
                     R"("max_position_embeddings":512,"layer_norm_eps":1e-12,"type_vocab_size":2,)"
                     R"("vocab_size":{}}})",
                     sizes.hidden, sizes.heads, sizes.inner, sizes.layers, sizes.vocabulary));
        write_pooling(pooling);
        write("sentence_bert_config.json", R"({"max_seq_length":512,"do_lower_case":true})");
        write_weights(bert_tensors(sizes), change);
    }

    void write_nomic() const {
        write("config.json",
              R"({"model_type":"nomic_bert","activation_function":"swiglu","n_embd":128,"n_head":4,
"n_inner":256,"n_layer":2,"n_positions":8192,"max_trained_positions":2048,"rotary_emb_base":1000,
"rotary_emb_fraction":1.0,"rotary_emb_interleaved":false,"rotary_emb_scale_base":null,
"rotary_scaling_factor":null,"qkv_proj_bias":false,"mlp_fc1_bias":false,"mlp_fc2_bias":false,
"prenorm":false,"causal":false,"layer_norm_epsilon":1e-12,"type_vocab_size":2,"vocab_size":30528})");
        write_pooling("mean");
        write("sentence_bert_config.json", R"({"max_seq_length":8192,"do_lower_case":true})");
        write_weights(nomic_tensors());
    }

    static std::vector<TinyTensor> bert_tensors(const TinySizes& s) {
        std::vector<TinyTensor> list = {
            {"embeddings.word_embeddings.weight", {s.vocabulary, s.hidden}},
            {"embeddings.position_embeddings.weight", {512, s.hidden}},
            {"embeddings.token_type_embeddings.weight", {2, s.hidden}}};
        add_norm(list, "embeddings.LayerNorm", s.hidden);
        for (std::size_t i = 0; i < s.layers; ++i) {
            const std::string at = format("encoder.layer.{}.", i);
            for (const char* part : {"query", "key", "value"}) {
                add_linear(list, at + "attention.self." + part, s.hidden, s.hidden);
            }
            add_linear(list, at + "attention.output.dense", s.hidden, s.hidden);
            add_norm(list, at + "attention.output.LayerNorm", s.hidden);
            add_linear(list, at + "intermediate.dense", s.inner, s.hidden);
            add_linear(list, at + "output.dense", s.hidden, s.inner);
            add_norm(list, at + "output.LayerNorm", s.hidden);
        }
        return list;
    }

  private:
    static std::vector<TinyTensor> nomic_tensors() {
        std::vector<TinyTensor> list = {{"embeddings.word_embeddings.weight", {30528, 128}},
                                        {"embeddings.token_type_embeddings.weight", {2, 128}}};
        add_norm(list, "emb_ln", 128);
        for (int i = 0; i < 2; ++i) {
            const std::string at = format("encoder.layers.{}.", i);
            list.push_back({at + "attn.Wqkv.weight", {384, 128}});
            list.push_back({at + "attn.out_proj.weight", {128, 128}});
            list.push_back({at + "mlp.fc11.weight", {256, 128}});
            list.push_back({at + "mlp.fc12.weight", {256, 128}});
            list.push_back({at + "mlp.fc2.weight", {128, 256}});
            add_norm(list, at + "norm1", 128);
            add_norm(list, at + "norm2", 128);
        }
        return list;
    }
    static void add_norm(std::vector<TinyTensor>& list, const std::string& name, std::size_t n) {
        list.push_back({name + ".weight", {n}});
        list.push_back({name + ".bias", {n}});
    }
    static void add_linear(std::vector<TinyTensor>& list, const std::string& name, std::size_t out,
                           std::size_t in) {
        list.push_back({name + ".weight", {out, in}});
        list.push_back({name + ".bias", {out}});
    }

    static std::vector<float> make_values(const TinyTensor& tensor) {
        std::uint64_t seed = 0xCBF29CE484222325U;
        for (const char c : tensor.name) {
            seed = (seed ^ static_cast<unsigned char>(c)) * 0x100000001B3U;
        }
        const bool matrix = tensor.shape.size() == 2;
        const std::string_view name = tensor.name;
        const bool sharp =
            matrix && (name.contains("Wqkv") || name.contains("query") || name.contains("key"));
        const float scale = name.ends_with("embeddings.weight") ? 1.0F : sharp ? 0.25F : 0.125F;
        const float base = !matrix && name.ends_with("weight") ? 1.0F : 0.0F;
        std::vector<float> values(tensor.shape[0] * (matrix ? tensor.shape[1] : 1));
        for (std::size_t i = 0; i < values.size(); ++i) {
            std::uint64_t z = seed + (i + 1) * 0x9E3779B97F4A7C15U;
            z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9U;
            z = (z ^ (z >> 27)) * 0x94D049BB133111EBU;
            z ^= z >> 31;
            values[i] = base + scale * (static_cast<float>(z >> 40) * 0x1p-23F - 1.0F);
        }
        return values;
    }

    std::filesystem::path path_;
};

}  // namespace hearth::encoder
