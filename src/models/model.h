#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "base/error.h"

// What is on disk. Values; immutable once made.
namespace hearth::models {

enum class Pooling : std::uint8_t { Mean, Cls, LastToken };

// A Hugging Face encoder folder, read from config.json, modules.json (with 1_Pooling/config.json),
// sentence_bert_config.json, config_sentence_transformers.json and tokenizer_config.json.
struct EncoderConfig {
    std::string family;  // config.json "model_type": "bert", "nomic_bert"
    std::size_t hidden = 0;
    std::size_t layers = 0;
    std::size_t heads = 0;
    std::size_t intermediate = 0;
    std::size_t vocabulary = 0;
    std::size_t token_types = 0;
    std::size_t positions_max = 0;  // the position table or the rotary window
    std::size_t tokens_max = 0;     // the window served: max_seq_length, specials included
    std::string activation;         // "gelu", "gelu_new", "relu", "swiglu"
    float norm_epsilon = 1e-12F;
    float rotary_base = 0;      // 0: learned positions
    float rotary_fraction = 0;  // share of each head that is rotated
    bool rotary_interleaved = false;
    bool qkv_bias = true;
    bool mlp_bias = true;
    Pooling pooling = Pooling::Mean;
    bool normalize = true;
    std::map<std::string, std::string> prompts;
    std::string default_prompt;           // a key of prompts, or empty
    std::vector<std::size_t> matryoshka;  // allowed dimensions; empty: any
    bool lower_case = false;  // sentence_bert_config do_lower_case: text is lowered even where the
                              // tokenizer's own settings keep its case
};

// Reads and checks a folder: every size within bounds, the product of sizes consistent.
// Errors: NotFound (no such folder or file), InvalidArgument (one sentence: which file, what is
// wrong), Unsupported (a sound folder that asks for something the engine does not do).
Result<EncoderConfig> read_encoder_config(const std::filesystem::path& folder);

// A model the catalogue found. `name` is canonical ("all-minilm:latest").
struct Model {
    std::string name;
    std::vector<std::string> aliases;
    std::filesystem::path folder;
    std::string digest;  // SHA-256 over names, sizes and header bytes; 64 hex digits
    std::uint64_t size_bytes = 0;
    std::int64_t modified_unix_ns = 0;
    std::string family;
    std::string format;     // "safetensors"
    std::string precision;  // "F32" ...
    std::uint64_t parameters = 0;
    std::size_t context_length = 0;
    std::size_t embedding_length = 0;
    std::vector<std::string> capabilities;  // "embedding"
    EncoderConfig encoder;
};

}  // namespace hearth::models
