#include <array>
#include <map>

#include "base/encoding.h"
#include "base/format.h"
#include "base/hash.h"
#include "models/catalogue.h"
#include "models/file_facts.h"
#include "models/json_file.h"
#include "models/safetensors.h"

namespace hearth::models {
namespace fs = std::filesystem;
namespace {

constexpr std::string_view kWeightsFile = "model.safetensors";
constexpr std::size_t kTokenizerBytesMax = 64 << 20;

// Everything that decides the vectors. The weights themselves come after these.
constexpr std::array<std::string_view, 7> kHashedFiles = {
    "config.json",
    "modules.json",
    "sentence_bert_config.json",
    "config_sentence_transformers.json",
    "tokenizer_config.json",
    "tokenizer.json",
    "vocab.txt",
};

void hash_field(Sha256& hash, std::string_view name, std::string_view bytes) {
    hash.update(format("{}\n{}\n", name, bytes.size()));
    hash.update(bytes);
}

Result<void> hash_files(const fs::path& folder, Sha256& hash, Model& model) {
    bool has_tokenizer = false;
    for (const std::string_view name : kHashedFiles) {
        auto text = read_file(folder / name, name, kTokenizerBytesMax);
        if (!text && text.error().code == Code::NotFound) continue;
        if (!text) return fail(std::move(text).error());
        has_tokenizer |= name == "tokenizer.json" || name == "vocab.txt";
        model.size_bytes += text->size();
        hash_field(hash, name, *text);
    }
    if (!has_tokenizer) {
        return fail(Code::NotFound, "it has neither tokenizer.json nor vocab.txt");
    }
    const auto pooling =
        format("{} {}", static_cast<int>(model.encoder.pooling), model.encoder.normalize);
    hash_field(hash, "pooling", pooling);
    return {};
}

void hash_weights(const Safetensors& weights, Sha256& hash) {
    hash_field(hash, kWeightsFile, std::to_string(weights.bytes().size()));
    hash_sampled(hash, weights.bytes(), weights.header().data_offset);
}

std::uint64_t elements(const SafetensorsHeader::Entry& entry) {
    std::uint64_t count = 1;
    for (const std::size_t extent : entry.shape) count *= extent;  // checked when it was parsed
    return count;
}

bool is_float(std::string_view type) { return type == "F32" || type == "F16" || type == "BF16"; }

// Parameters are the floating-point elements; the precision is the type most of them have.
Result<void> describe_weights(const SafetensorsHeader& header, Model& model) {
    std::map<std::string_view, std::uint64_t> by_type;
    for (const auto& [name, entry] : header.entries) {
        if (is_float(entry.type)) by_type[entry.type] += elements(entry);
        if (name.ends_with("embeddings.word_embeddings.weight") &&
            entry.shape != std::vector{model.encoder.vocabulary, model.encoder.hidden}) {
            return fail(Code::InvalidArgument,
                        format("{}: tensor \"{}\" does not have the shape [{}, {}] that "
                               "config.json gives",
                               kWeightsFile, name, model.encoder.vocabulary, model.encoder.hidden));
        }
    }
    std::uint64_t most = 0;
    for (const auto& [type, count] : by_type) {
        model.parameters += count;
        if (count <= most) continue;
        most = count;
        model.precision = type;
    }
    if (most == 0) {
        return fail(Code::InvalidArgument,
                    format("{} holds no tensor of type F32, F16 or BF16", kWeightsFile));
    }
    return {};
}

Result<std::unique_ptr<Safetensors>> open_weights(const fs::path& folder) {
    auto weights = Safetensors::open(folder / kWeightsFile);
    if (weights || weights.error().code != Code::NotFound) return weights;
    std::error_code error;
    for (const std::string_view other : {"model.safetensors.index.json", "pytorch_model.bin"}) {
        if (fs::exists(folder / other, error)) {
            return fail(Code::Unsupported,
                        format("{} is missing; {} is not read instead", kWeightsFile, other));
        }
    }
    return weights;
}

}  // namespace

Result<Model> read_model(const fs::path& folder, std::string name) {
    Model model;
    model.name = std::move(name);
    model.folder = folder;
    TRY(model.encoder, read_encoder_config(folder));
    TRY(const auto weights, open_weights(folder));
    TRY_VOID(describe_weights(weights->header(), model));

    Sha256 hash;
    TRY_VOID(hash_files(folder, hash, model));
    hash_weights(*weights, hash);
    model.digest = encode_hex(hash.finish());
    model.size_bytes += weights->bytes().size();
    model.modified_unix_ns = modified_unix_ns(folder / kWeightsFile);
    model.family = model.encoder.family;
    model.format = "safetensors";
    model.context_length = model.encoder.tokens_max;
    model.embedding_length = model.encoder.hidden;
    model.capabilities = {"embedding"};
    return model;
}

}  // namespace hearth::models
