#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>

namespace hearth::system_test {

struct TinyModel {
    std::string config;       // config.json
    std::string safetensors;  // model.safetensors
    std::string vocabulary;   // vocab.txt
};

// A BERT encoder of one layer and 32 dimensions with fixed pseudo-random weights; `weight_at` may
// change the value with a given index.
TinyModel make_tiny_model(const std::function<float(std::size_t, float)>& weight_at = {});

// Writes the model's files, and tokenizer_config.json, into a new folder.
void write_model(const std::filesystem::path& folder, const TinyModel& model);

}  // namespace hearth::system_test
