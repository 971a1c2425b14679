#include "models/gguf_model.h"

#include <algorithm>
#include <array>
#include <functional>
#include <iterator>
#include <optional>
#include <utility>

#include "base/encoding.h"
#include "base/format.h"
#include "base/hash.h"
#include "models/file_facts.h"
#include "models/gguf.h"
#include "models/gguf_name.h"
#include "models/mapped_file.h"

namespace hearth::models {
namespace fs = std::filesystem;
namespace {

constexpr std::size_t kPartsMax = 512;
constexpr std::size_t kArchitectureBytesMax = 64;

struct OpenGguf {
    MappedFile mapped;
    GgufHeader header;
};

Result<OpenGguf> open_gguf(const fs::path& file) {
    OpenGguf open;
    const std::string name = file.filename().string();
    TRY(open.mapped, MappedFile::open(file, name));
    auto header = parse_gguf_header(open.mapped.bytes(), open.mapped.bytes().size());
    if (!header) return fail(std::move(header).error().within(name));
    open.header = *std::move(header);
    return open;
}

// Sums up the files of one model.
struct Files {
    bool hashed = true;
    std::uint64_t bytes = 0;
    Sha256 hash = {};

    void add(const OpenGguf& open) {
        const std::span<const std::byte> all = open.mapped.bytes();
        bytes += all.size();
        if (!hashed) return;
        hash.update(format("{}\n", all.size()));
        hash_sampled(hash, all, std::min<std::uint64_t>(open.header.data_offset, all.size()));
    }
};

bool holds_any(std::string_view text, std::initializer_list<std::string_view> words) {
    return std::ranges::any_of(words, [&](std::string_view word) { return text.contains(word); });
}

// The architecture becomes part of keys and answers.
Result<std::string> architecture_of(const GgufHeader& header) {
    const std::string_view name = header.text("general.architecture");
    const bool right = !name.empty() && name.size() <= kArchitectureBytesMax &&
                       std::ranges::all_of(name, [](char c) {
                           return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' ||
                                  c == '_' || c == '.';
                       });
    if (!right) return invalid("general.architecture is missing or no name");
    return std::string(name);
}

GgufRole role_of(const GgufHeader& header) {
    const std::string_view type = header.text("general.type");
    if (header.text("general.architecture") == "clip" || type == "mmproj") {
        return GgufRole::Projector;
    }
    return type == "adapter" ? GgufRole::Adapter : GgufRole::Weights;
}

Result<void> check_is_model(const GgufHeader& header) {
    switch (role_of(header)) {
        case GgufRole::Projector:
            return invalid("it is a projector for images, no model by itself");
        case GgufRole::Adapter: return invalid("it is an adapter, no model by itself");
        case GgufRole::Weights: break;
    }
    if (header.tensors.empty()) return invalid("it holds no tensors");
    return {};
}

// The other parts of a split file, checked one by one; their tensors join the first part's.
// Source: llama.cpp's llama-model-loader.cpp, which loads them by the same names.
Result<void> join_parts(const fs::path& first, OpenGguf& open, Files& files) {
    const std::uint64_t count = open.header.number("split.count").value_or(0);
    const std::string file_name = first.filename().string();
    const auto said = parse_gguf_file_name(file_name);
    const std::size_t parts = said ? said->parts : 0;
    if (count <= 1 && parts <= 1) return {};
    if (count != parts || said->part != 1) {
        return invalid(
            format("its header says {} parts, its name {}; a split model is named "
                   "NAME-00001-of-00002.gguf",
                   count, parts));
    }
    if (count > kPartsMax) {
        return invalid(format("it has {} parts; at most {} are read", count, kPartsMax));
    }
    const std::vector<fs::path> all = gguf_part_files(first);
    for (std::size_t i = 1; i < all.size(); ++i) {
        const std::string name = all[i].filename().string();
        auto part = open_gguf(all[i]);
        if (!part && part.error().code == Code::NotFound) {
            return invalid(format("part {} of {} is missing: {}", i + 1, count, name));
        }
        if (!part) return fail(std::move(part).error());
        if (part->header.number("split.no") != i) {
            return invalid(format("{} is not part {} of this model", name, i + 1));
        }
        files.add(*part);
        std::ranges::move(part->header.tensors, std::back_inserter(open.header.tensors));
    }
    return {};
}

// What a projector, if there is one, makes of its input: "vision", "audio".
Result<std::vector<std::string>> read_projector(const fs::path& file, Files& files) {
    if (file.empty()) return std::vector<std::string>();
    TRY(const OpenGguf open, open_gguf(file));
    if (open.header.text("general.architecture") != "clip") {
        return invalid(format("{} is no projector", file.filename().string()));
    }
    files.add(open);
    const auto has = [&](std::string_view key, bool otherwise) {
        const GgufValue* value = open.header.find(key);
        const auto* flag = value != nullptr ? std::get_if<bool>(value) : nullptr;
        return flag != nullptr ? *flag : otherwise;
    };
    std::vector<std::string> senses;
    const bool hears = has("clip.has_audio_encoder", false);
    if (has("clip.has_vision_encoder", !hears)) senses.emplace_back("vision");
    if (hears) senses.emplace_back("audio");
    return senses;
}

Result<void> read_adapters(const GgufModel& gguf, Files& files) {
    for (const fs::path& file : gguf.adapters) {
        TRY(const OpenGguf open, open_gguf(file));
        files.add(open);
    }
    return {};
}

// Each role has its key, or one of the texts by which llama.cpp finds it in a vocabulary.
// Source: llama.cpp's llama-vocab.cpp; its server asks for all three before it fills in the middle.
struct FimRole {
    std::array<std::string_view, 2> keys;
    std::array<std::string_view, 8> texts;
};
constexpr std::array<FimRole, 3> kFimRoles = {{
    {{"tokenizer.ggml.fim_pre_token_id", "tokenizer.ggml.prefix_token_id"},
     {"<|fim_prefix|>", "<fim-prefix>", "<fim_prefix>", "<｜fim▁begin｜>", "<PRE>", "▁<PRE>",
      "<|code_prefix|>", "<|prefix|>"}},
    {{"tokenizer.ggml.fim_suf_token_id", "tokenizer.ggml.suffix_token_id"},
     {"<|fim_suffix|>", "<fim-suffix>", "<fim_suffix>", "<｜fim▁hole｜>", "<SUF>", "▁<SUF>",
      "<|code_suffix|>", "<|suffix|>"}},
    {{"tokenizer.ggml.fim_mid_token_id", "tokenizer.ggml.middle_token_id"},
     {"<|fim_middle|>", "<fim-middle>", "<fim_middle>", "<｜fim▁end｜>", "<MID>", "▁<MID>",
      "<|code_middle|>", "<|middle|>"}},
}};

bool has_fim_tokens(const OpenGguf& open) {
    std::array<bool, kFimRoles.size()> found{};
    for (std::size_t i = 0; i < found.size(); ++i) {
        found[i] = std::ranges::any_of(
            kFimRoles[i].keys, [&](auto key) { return open.header.number(key).has_value(); });
    }
    const auto all = [&] { return std::ranges::all_of(found, std::identity{}); };
    const GgufValue* tokens = open.header.find("tokenizer.ggml.tokens");
    const auto* list = tokens != nullptr ? std::get_if<GgufList>(tokens) : nullptr;
    if (all() || list == nullptr) return all();
    const auto visited = visit_gguf_texts(open.mapped.bytes(), *list, [&](std::string_view token) {
        if (!token.ends_with('>')) return true;
        for (std::size_t i = 0; i < found.size(); ++i) {
            found[i] = found[i] ||
                       std::ranges::find(kFimRoles[i].texts, token) != kFimRoles[i].texts.end();
        }
        return !all();
    });
    return visited.has_value() && all();
}

bool is_encoder(std::string_view architecture) {
    return architecture.contains("bert") || architecture == "t5encoder" ||
           architecture == "gemma-embedding" || architecture == "llama-embed";
}

// The pooling that makes a score of a query and a document. Source: llama.cpp include/llama.h.
constexpr std::uint64_t kRankPooling = 4;

// Source: ollama/ollama server/images.go, Capabilities(); it knows no rerankers.
std::vector<std::string> capabilities_of(const GgufHeader& header, std::string_view architecture,
                                         const GgufModel& gguf,
                                         const std::vector<std::string>& senses) {
    const std::string pooling = format("{}.pooling_type", architecture);
    if (header.number(pooling) == kRankPooling) return {"rerank"};
    if (header.find(pooling) != nullptr || is_encoder(architecture)) {
        return {"embedding"};
    }
    std::vector<std::string> found = {"completion"};
    const std::string_view chat = header.text("tokenizer.chat_template");
    const std::string_view stored = gguf.ollama_template;
    if (chat.contains("tools") || stored.contains(".Tools") ||
        header.find("tokenizer.chat_template.tool_use") != nullptr) {
        found.emplace_back("tools");
    }
    if (gguf.has_fim_tokens || stored.contains(".Suffix")) found.emplace_back("insert");
    if (header.find(format("{}.vision.block_count", architecture)) != nullptr && senses.empty()) {
        found.emplace_back("vision");
    }
    found.insert(found.end(), senses.begin(), senses.end());
    if (holds_any(chat, {"<think>", "</think>", "[THINK]", "enable_thinking", "reasoning"}) ||
        stored.contains(".Think")) {
        found.emplace_back("thinking");
    }
    return found;
}

std::size_t length_of(const GgufHeader& header, std::string_view architecture,
                      std::string_view key) {
    return header.number(format("{}.{}", architecture, key)).value_or(0);
}

bool has_sequence_state(const GgufHeader& header, std::string_view architecture) {
    return std::ranges::any_of(
        std::array{"attention.sliding_window", "ssm.state_size", "wkv.head_size",
                   "shortconv.l_cache"},
        [&](const char* key) { return length_of(header, architecture, key) > 0; });
}

}  // namespace

Result<GgufRole> read_gguf_role(const fs::path& file) {
    TRY(const OpenGguf open, open_gguf(file));
    return role_of(open.header);
}

Result<Model> read_gguf_model(GgufModel gguf, std::string name, std::string digest) {
    TRY(OpenGguf open, open_gguf(gguf.file));
    Model model;
    model.name = std::move(name);
    TRY(model.family, architecture_of(open.header));
    TRY_VOID(check_is_model(open.header));
    Files files{.hashed = digest.empty()};
    files.add(open);
    TRY_VOID(join_parts(gguf.file, open, files));
    TRY(const std::vector<std::string> senses, read_projector(gguf.projector, files));
    TRY_VOID(read_adapters(gguf, files));

    gguf.has_chat_template = !open.header.text("tokenizer.chat_template").empty();
    gguf.has_fim_tokens = has_fim_tokens(open);
    gguf.has_sequence_state = has_sequence_state(open.header, model.family);
    model.capabilities = capabilities_of(open.header, model.family, gguf, senses);
    model.size_bytes = files.bytes;
    model.digest = files.hashed ? encode_hex(files.hash.finish()) : std::move(digest);
    model.folder = gguf.file.parent_path();
    model.modified_unix_ns = modified_unix_ns(gguf.file);
    model.format = "gguf";
    model.precision = gguf_precision(open.header);
    model.parameters = open.header.parameters();
    model.context_length = length_of(open.header, model.family, "context_length");
    model.embedding_length = length_of(open.header, model.family, "embedding_length");
    model.gguf = std::move(gguf);
    return model;
}

}  // namespace hearth::models
