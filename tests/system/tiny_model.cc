#include "tiny_model.h"

#include <boost/json.hpp>
#include <cstring>
#include <fstream>
#include <vector>

namespace hearth::system_test {
namespace {

namespace json = boost::json;

constexpr std::size_t kHidden = 32;
constexpr std::size_t kInner = 64;
constexpr std::size_t kPositions = 32;
constexpr const char* kWords[] = {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "hello",
                                  "world", "##s",   "int",   "main",  "(",      ")"};

// Lays out named tensors one after the other, as the format wants them.
class SafetensorsWriter {
  public:
    explicit SafetensorsWriter(const std::function<float(std::size_t, float)>& weight_at)
        : weight_at_(weight_at) {}

    void add(const std::string& name, std::vector<std::size_t> shape) {
        const std::size_t begin = data_.size();
        std::size_t count = 1;
        for (const std::size_t side : shape) count *= side;
        for (std::size_t i = 0; i < count; ++i) append(next_value(name));
        header_[name] = {{"dtype", "F32"},
                         {"shape", json::value_from(shape)},
                         {"data_offsets", {begin, data_.size()}}};
    }
    void add_linear(const std::string& name, std::size_t out, std::size_t in) {
        add(name + ".weight", {out, in});
        add(name + ".bias", {out});
    }
    void add_norm(const std::string& name) {
        add(name + ".weight", {kHidden});
        add(name + ".bias", {kHidden});
    }
    std::string finish() const {
        const std::string header = json::serialize(header_);
        const std::uint64_t size = header.size();
        std::string out(sizeof(size), '\0');
        std::memcpy(out.data(), &size, sizeof(size));
        return out + header + data_;
    }

  private:
    float next_value(const std::string& name) {
        state_ = state_ * 6364136223846793005ULL + 1442695040888963407ULL;
        float value = static_cast<float>(state_ >> 40) / static_cast<float>(1 << 24) - 0.5F;
        if (name.ends_with("LayerNorm.weight")) value += 1;
        const std::size_t index = count_++;
        return weight_at_ ? weight_at_(index, value) : value;
    }
    void append(float value) {
        char bytes[sizeof(value)];
        std::memcpy(bytes, &value, sizeof(value));
        data_.append(bytes, sizeof(bytes));
    }

    const std::function<float(std::size_t, float)>& weight_at_;
    json::object header_;
    std::string data_;
    std::uint64_t state_ = 1;
    std::size_t count_ = 0;
};

}  // namespace

TinyModel make_tiny_model(const std::function<float(std::size_t, float)>& weight_at) {
    const std::size_t words = std::size(kWords);
    SafetensorsWriter writer(weight_at);
    writer.add("embeddings.word_embeddings.weight", {words, kHidden});
    writer.add("embeddings.position_embeddings.weight", {kPositions, kHidden});
    writer.add("embeddings.token_type_embeddings.weight", {2, kHidden});
    writer.add_norm("embeddings.LayerNorm");
    const std::string layer = "encoder.layer.0.";
    for (const char* part : {"query", "key", "value"})
        writer.add_linear(layer + "attention.self." + part, kHidden, kHidden);
    writer.add_linear(layer + "attention.output.dense", kHidden, kHidden);
    writer.add_norm(layer + "attention.output.LayerNorm");
    writer.add_linear(layer + "intermediate.dense", kInner, kHidden);
    writer.add_linear(layer + "output.dense", kHidden, kInner);
    writer.add_norm(layer + "output.LayerNorm");

    TinyModel model{.config = {}, .safetensors = writer.finish(), .vocabulary = {}};
    for (const char* word : kWords) model.vocabulary += std::string(word) + '\n';
    model.config = json::serialize(json::object{{"model_type", "bert"},
                                                {"hidden_size", kHidden},
                                                {"num_hidden_layers", 1},
                                                {"num_attention_heads", 2},
                                                {"intermediate_size", kInner},
                                                {"vocab_size", words},
                                                {"type_vocab_size", 2},
                                                {"max_position_embeddings", kPositions},
                                                {"hidden_act", "gelu"},
                                                {"layer_norm_eps", 1e-12}});
    return model;
}

void write_model(const std::filesystem::path& folder, const TinyModel& model) {
    std::filesystem::create_directories(folder);
    const auto write = [&](const char* name, const std::string& text) {
        std::ofstream(folder / name, std::ios::binary) << text;
    };
    write("config.json", model.config);
    write("model.safetensors", model.safetensors);
    write("vocab.txt", model.vocabulary);
    write("tokenizer_config.json",
          R"({"tokenizer_class":"BertTokenizer","do_lower_case":true,"model_max_length":32})");
}

}  // namespace hearth::system_test
