#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
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

// A GGUF file and what its store says beside it.
struct GgufModel {
    std::filesystem::path file;       // of a split one, the first part
    std::filesystem::path projector;  // for images ("mmproj"); empty: none
    std::vector<std::filesystem::path> adapters;
    bool has_chat_template = false;
    bool has_fim_tokens = false;  // fill-in-the-middle
    // Some of its layers keep a window of tokens or a state for each sequence: its memory grows
    // with the number of them.
    bool has_sequence_state = false;
    // From an Ollama manifest's layers; each empty where there is none.
    std::string system;           // the system prompt for calls without one
    std::string ollama_template;  // shown, never run: the file's own template is
    std::string parameters;       // JSON object of options for calls that do not set them
    std::string messages;         // JSON list of messages before the caller's
    std::string license;
    std::string manifest_digest;  // SHA-256 of the manifest: what Ollama shows as the model's ID
};

// Where a model's files lie, and who may change them.
enum class Home : std::uint8_t {
    Folder,       // put there by hand: served, never changed
    OwnStore,     // pulled or created by Hearth: may be deleted
    OllamaStore,  // an Ollama installation's: served, never changed
    HubCache,     // the Hugging Face hub's cache: served, never changed
    Elsewhere,    // a server elsewhere has it: nothing of it is here
};

// A model the catalogue found. `name` is canonical ("all-minilm:latest").
struct Model {
    std::string name;
    std::vector<std::string> aliases;
    std::filesystem::path folder;  // of a Hugging Face model; where the GGUF file lies
    Home home = Home::Folder;
    // 64 hex digits: SHA-256 over names, sizes, headers and samples; of a store's model the digest
    // of its blob.
    std::string digest;
    std::uint64_t size_bytes = 0;
    std::int64_t modified_unix_ns = 0;
    std::string family;
    std::string format;     // "safetensors", "gguf"
    std::string precision;  // "F32", "Q4_K_M" ...
    std::uint64_t parameters = 0;
    std::size_t context_length = 0;
    std::size_t embedding_length = 0;
    // Ollama's words: "completion", "tools", "insert", "vision", "audio", "thinking", "embedding";
    // and "rerank".
    std::vector<std::string> capabilities;
    EncoderConfig encoder;          // of a Hugging Face folder
    std::optional<GgufModel> gguf;  // absent: a Hugging Face folder
};

}  // namespace hearth::models
